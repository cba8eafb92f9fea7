"""The log in a file, from the command line: what is told, and what is refused."""

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.commands.exporting import moment_s
from policy.errors import InvalidInput
from storage.sqlite_log import SqliteLog
from tests.app.commands.test_cli import turnpike
from tests.app.running import Provider, running

NOW_S = 1_800_000_000.0


def test_the_log_of_a_running_service_is_written_to_a_file(
    tmp_path: Path, provider: Provider
) -> None:
    path = tmp_path / "log.parquet"
    with running(tmp_path, sandbox_url=provider.url) as service:
        answers = [service.ask() for _ in range(3)]
        service.rate(answers[0]["id"])
        ended = turnpike(tmp_path, "export", str(path), "--json")
    assert ended.exit_code == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "file": str(path), "decisions": 3, "bytes": path.stat().st_size,
    }  # fmt: skip
    rows = {row["id"]: row for row in pq.read_table(path).to_pylist()}
    assert rows.keys() == {answer["id"] for answer in answers}
    assert rows[answers[0]["id"]]["reward"] == 1.0
    assert [call["status"] for call in rows[answers[1]["id"]]["attempts"]] == ["ok"]
    plain = turnpike(tmp_path, "export", str(path), "--since", "1h")
    assert plain.stdout.startswith(f"3 decisions in {path} (")
    assert (
        turnpike(tmp_path, "export", str(path), "--since", "2100-01-01").stdout[:11]
        == "0 decisions"
    )


@pytest.mark.parametrize(
    ("since", "at_s"),
    [("36h", NOW_S - 36 * 3_600), ("30d", NOW_S - 30 * 86_400), ("2w", NOW_S - 14 * 86_400),
     ("2026-11-01", 1_793_491_200.0)],
)  # fmt: skip
def test_since_is_a_span_or_a_day(since: str, at_s: float) -> None:
    assert moment_s(since, NOW_S) == at_s


@pytest.mark.parametrize("since", ["", "30", "d", "-3d", "30 d", "2026-13-01", "yesterday"])
def test_any_other_since_is_refused_with_what_would_be_right(since: str) -> None:
    with pytest.raises(InvalidInput, match="36h, 30d or 2w, or a day"):
        moment_s(since, NOW_S)


def test_what_cannot_be_done_is_one_line(tmp_path: Path, provider: Provider) -> None:
    assert "there is no log at" in turnpike(tmp_path, "export", "x.parquet").stderr
    with running(tmp_path, sandbox_url=provider.url) as service:
        service.ask()
    away = tmp_path / "nowhere" / "log.parquet"
    ended = turnpike(tmp_path, "export", str(away))
    assert ended.exit_code == 1
    assert (
        ended.stderr.splitlines()[-1] == f"turnpike: cannot write {away}: No such file or directory"
    )
    ended = turnpike(tmp_path, "export", str(tmp_path / "log.parquet"), "--since", "soon")
    assert (ended.exit_code, "since is 'soon'" in ended.stderr) == (2, True)


def test_what_is_no_file_is_left_alone_and_a_link_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "turnpike.db"
    SqliteLog(log).close()
    pipe, target, link = tmp_path / "pipe", tmp_path / "target.parquet", tmp_path / "link.parquet"
    os.mkfifo(pipe)
    link.symlink_to(target)
    secret = tmp_path / "secret"
    secret.write_text("that opens every key")
    no_parquet = "is there and no Parquet file"
    for refused, says in ((pipe, "is no file"), (log, no_parquet), (secret, no_parquet)):
        before = refused.stat()
        ended = turnpike(tmp_path, "export", str(refused))
        assert (ended.exit_code, f"{refused} {says}" in ended.stderr) == (2, True)
        after = refused.stat()
        assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    target.touch()  # as mktemp makes it
    assert turnpike(tmp_path, "export", str(link)).exit_code == 0
    assert link.is_symlink()
    assert pq.read_table(target).num_rows == 0
    assert turnpike(tmp_path, "keys", "list").exit_code == 0
