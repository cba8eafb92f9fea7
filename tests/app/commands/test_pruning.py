"""What the log keeps no longer is taken out of it, beside a running service or without one."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from app.processes.work import PIECE, jobs, overdue
from app.settings import Settings
from policy.types import DAY_S
from storage.erasing import transcripts
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from storage.words import Transcript
from tests.app.commands.test_cli import turnpike
from tests.app.faulty import faulty
from tests.app.routing.test_retention import ASKED, CANARY, files, greeting
from tests.app.running import BESIDE
from tests.storage.rounds import DECISION, but

NOW_S = 2_000_000_000.0


def pruned(folder: Path, **dials: str) -> Result:
    return turnpike(folder, "prune", "--yes", **dials)


def says(ended: Result) -> str:
    """Return the last line: a service in the same process writes its own before."""
    return ended.stdout.splitlines()[-1]


def aged(folder: Path, days: float, texts: int = 1) -> None:
    """Record decisions of so many days ago, with their texts."""
    with SqliteLog(folder / "turnpike.db") as log:
        for n in range(texts):
            identity, at_s = f"d{days}-{n}", NOW_S - days * DAY_S
            log.decide(but(DECISION, id=identity, decided_at_s=at_s))
            said = Transcript(
                decision_id=identity, part="prompt", at_s=at_s, form="full", text=CANARY
            )
            ticket = log.keep(said)
        ticket.wait()


@pytest.mark.parametrize(
    ("dials", "gone"),
    [
        ({"prompts": "full"}, {("d31-0", "text"), ("d401-0", "text"), ("d401-0", "hash")}),
        ({"prompts": "full", "prompts_keep_days": 500}, {("d401-0", "hash")}),
        (
            {"prompts": "off"},
            {(f"d{n}-0", what) for n in (29, 31, 401) for what in ("text", "hash")},
        ),
    ],
)
def test_the_days_are_counted_from_the_decision(
    tmp_path: Path, dials: dict[str, Any], gone: set[tuple[str, str]]
) -> None:
    for days in (31, 29, 401):
        aged(tmp_path, days)
    settings = Settings.load({}, dials)
    with SqliteReader(tmp_path / "turnpike.db") as log:
        found = [(each.decision_id, each.what) for each in overdue(settings, log.ask, NOW_S)]
    assert sorted(found) == sorted(gone)


def test_words_go_without_a_service_and_leave_nothing_in_the_files(tmp_path: Path) -> None:
    aged(tmp_path, days=5_000)
    ended = pruned(tmp_path, TURNPIKE_PROMPTS="full")
    assert ended.exit_code == 0, ended.stderr
    assert ended.stdout == "the words of 1 decisions and 1 hashes were taken out\n"
    assert CANARY.encode() not in b"".join(content for _, content in files(tmp_path))
    assert pruned(tmp_path).stdout == "the words of 0 decisions and 0 hashes were taken out\n"


def test_what_comes_due_meanwhile_is_left_to_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under steady traffic something comes due all the time, and no other job would have a turn."""
    for days in (31, 30, 29, 28):
        aged(tmp_path, days)
    moments = (NOW_S + n * DAY_S + 1 for n in count())
    monkeypatch.setattr("app.commands.pruning.time", SimpleNamespace(time=lambda: next(moments)))
    ended = pruned(tmp_path, TURNPIKE_PROMPTS="full", TURNPIKE_HASHES_KEEP_DAYS="500")
    assert ended.stdout == "the words of 2 decisions and 0 hashes were taken out\n"


def test_it_asks_first_because_a_shell_may_keep_less_than_the_service(tmp_path: Path) -> None:
    aged(tmp_path, days=0)
    ended = turnpike(tmp_path, "prune", TURNPIKE_PROMPTS="hash", TURNPIKE_PROMPTS_KEEP_DAYS="7")
    assert ended.exit_code == 1
    assert (
        "TURNPIKE_PROMPTS=hash, texts for 7 days and hashes for 400, as this shell" in ended.stderr
    )
    with SqliteReader(tmp_path / "turnpike.db") as log:
        assert [each.text for each in transcripts(log.ask, "d0-0")] == [CANARY]
    assert "of 0 decisions" in turnpike(tmp_path, "prune", TURNPIKE_PROMPTS="full").stdout


@pytest.mark.slow
def test_more_than_one_piece_is_taken_out_piece_by_piece(tmp_path: Path) -> None:
    aged(tmp_path, days=5_000, texts=2 * PIECE + 1)
    ended = pruned(tmp_path)
    assert f"the words of {2 * PIECE + 1} decisions" in ended.stdout
    assert list((tmp_path / BESIDE / "handover").iterdir()) == []


def test_a_service_that_keeps_less_than_before_forgets_what_it_had_kept(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="full") as made:
        made.service.ask(prompt=ASKED)
        [round_] = made.decisions
        assert says(pruned(tmp_path, TURNPIKE_PROMPTS="full")).startswith("the words of 0 ")
        assert says(pruned(tmp_path, TURNPIKE_PROMPTS="hash")).startswith("the words of 1 ")
        ask = made.service.parts.log.ask
        assert transcripts(ask, round_.decision.id) == []
        assert CANARY.encode() not in b"".join(content for _, content in files(tmp_path))
        before = made.service.digest
        assert says(pruned(tmp_path, TURNPIKE_PROMPTS="off")).endswith(" 1 hashes were taken out")
        after = made.decisions[0].decision
        assert (after.prompt_sha256, after.sketch) == ("", round_.decision.sketch)
        assert made.service.digest == before


def test_the_scheduler_prunes_every_minute() -> None:
    assert [(job.name, job.every_s) for job in jobs(Settings.load({}, {}))] == [
        ("retrain", 3_600.0), ("retrain when missed", 3_600.0), ("retrain when due", 5.0),
        ("report", 3_600.0), ("report when awaited", 5.0), ("prune", 60.0),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_scheduler_starts_the_job_only_when_something_is_overdue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load({}, {"database": tmp_path / "turnpike.db", "sandbox": "off"})
    prune = jobs(settings)[-1].do
    for name in ("DATABASE", "SANDBOX"):
        monkeypatch.setenv(f"TURNPIKE_{name}", str(getattr(settings, name.lower())))
    aged(tmp_path, days=0)
    with SqliteReader(tmp_path / "turnpike.db") as log:
        aged(tmp_path, days=5_000)
        prune()
        assert transcripts(log.ask, "d5000-0") == []
        handed_over = log.ask("SELECT kind FROM handovers", {})
        prune()
        assert log.ask("SELECT kind FROM handovers", {}) == handed_over
