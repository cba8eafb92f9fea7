"""A team's own evals: a good table is learned once, a bad cell is named by line and column."""

import json
from errno import ENOSPC
from os import mkfifo
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.commands.evals import import_evals
from app.commands.withdrawing import list_batches
from app.settings import Settings
from features.prompt import Prompt
from features.sketch import Sketch
from policy.errors import ConfigError, InvalidInput
from storage.handover import hand_over, pending
from storage.parcel import Blobs
from storage.sqlite_reader import SqliteReader
from storage.stores import open_reader
from tests.app.running import BESIDE, CATALOGUE, Provider, Running, evals_table, running

SAMPLES = "prompt,task,gpt-4o,qwen3-32b\nsame,,1,0\nsame,,0,\nsame,,0,1\nsame,maths,1,\n"
GOOD = 'prompt,task,gpt-4o,qwen3-32b\n"What is 2, or 3?",maths,1,0.5\nSay hi,,,0\n'


def settings(folder: Path) -> Settings:
    return Settings.load({}, {"arms": CATALOGUE, "database": folder / "turnpike.db"})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "evals.csv"


def test_scores_reach_a_running_service_and_move_its_beliefs(
    service: Running, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(GOOD)
    import_evals(service.parts.settings, table)
    assert "imported 3 scores of 2 arms on 2 prompts" in capsys.readouterr().out
    weight = {arm["arm"]: arm["belief"]["effective_n"] for arm in service.get("/policy")["arms"]}
    assert (weight["gpt-4o"], weight["qwen3-32b"]) == (pytest.approx(1), pytest.approx(2))
    assert service.get("/policy")["counts"]["evals"] == 3


def test_without_a_service_the_scores_wait_in_the_log(
    tmp_path: Path, table: Path, provider: Provider
) -> None:
    table.write_text(GOOD)
    import_evals(settings(tmp_path), table)
    with SqliteReader(tmp_path / "turnpike.db") as log:
        assert log.counts().evals == 3
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert service.get("/policy")["counts"]["evals"] == 3
        assert len(service.learned.beliefs.quality.evals) == 2


def test_the_same_table_counts_once_and_that_is_told(
    service: Running, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(GOOD)
    import_evals(service.parts.settings, table, as_json=True)
    assert '"new": 3' in capsys.readouterr().out
    known = service.digest
    import_evals(service.parts.settings, table)
    assert service.digest == known
    assert service.parts.log.counts().evals == 3
    told = "imported 3 scores of 2 arms on 2 prompts, 0 new: this file was imported before"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_every_sample_of_a_prompt_counts_and_so_does_each_task(
    tmp_path: Path,
    table: Path,
    place: str,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = settings(tmp_path)
    if place == "postgres":
        url = request.getfixturevalue("postgres_url")
        given = given.model_copy(update={"database": url, "data": tmp_path})
    table.write_text(SAMPLES)
    for _ in range(2):
        import_evals(given, table)
    list_batches(given, as_json=False)
    assert capsys.readouterr().out.count("6 scores of 2 arms on 1 prompt") == 3
    with open_reader(given.database) as log:
        rows = log.ask("SELECT arm, task, score, prompt_sha256 FROM evals ORDER BY seq", {})
    assert [(each["arm"], each["task"], each["score"]) for each in rows] == [
        ("gpt-4o", None, 1.0),
        ("qwen3-32b", None, 0.0),
        ("gpt-4o", None, 0.0),
        ("gpt-4o", None, 0.0),
        ("qwen3-32b", None, 1.0),
        ("gpt-4o", "maths", 1.0),
    ]
    assert len({each["prompt_sha256"] for each in rows}) == 1


@pytest.mark.slow
def test_many_evals_count_no_more_than_their_ceiling(service: Running, table: Path) -> None:
    ceiling = service.learned.beliefs.quality.prior.eval_ceiling
    import_evals(service.parts.settings, evals_table(table, round(ceiling) + 20))
    weights = [arm["belief"]["effective_n"] for arm in service.get("/policy")["arms"]]
    assert weights == [pytest.approx(ceiling)] * len(weights)


def test_many_scores_are_written_in_pieces_and_what_was_broken_off_is_taken_up_again(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, handed = settings(tmp_path), []

    def handing_over(folder: Path, kind: str, payload: dict[str, Any], blobs: Blobs) -> str:
        handed.append(len(json.loads(blobs["evals"])))
        if len(handed) == broken_off_at:
            raise OSError(ENOSPC, "No space left on device")
        return hand_over(folder, kind, payload, blobs)

    monkeypatch.setattr("app.commands.evals.PIECE", 2)
    monkeypatch.setattr("app.commands.delivery.AHEAD", 0)
    monkeypatch.setattr("app.commands.delivery.hand_over", handing_over)
    table.write_text("prompt,gpt-4o,qwen3-32b\nsame,1,0\nsame,0,1\nother,1,\n")
    broken_off_at = 2
    with pytest.raises(ConfigError, match="cannot write .* 2 of 5 scores are in; import"):
        import_evals(given, table)
    with SqliteReader(tmp_path / "turnpike.db") as log:
        assert log.counts().evals == 2
    broken_off_at = 0
    import_evals(given, table)
    assert handed == [2, 2, 2, 2, 1]
    assert "imported 5 scores of 2 arms on 2 prompts, 3 new" in capsys.readouterr().out
    assert pending(tmp_path / BESIDE / "handover") == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_a_table_of_a_spreadsheet_is_read(service: Running, table: Path, encoding: str) -> None:
    table.write_text(GOOD.replace("\n", "\r\n"), encoding=encoding, newline="")
    import_evals(service.parts.settings, table)
    assert service.parts.log.counts().evals == 3


def test_a_prompt_as_long_as_the_service_takes_is_taken(service: Running, table: Path) -> None:
    table.write_text(f"prompt,gpt-4o\n{'word ' * 200_000},1\n")
    import_evals(service.parts.settings, table)
    assert service.parts.log.counts().evals == 1


def test_a_pipe_is_refused_because_a_table_is_read_twice(tmp_path: Path, table: Path) -> None:
    mkfifo(table)
    with pytest.raises(InvalidInput, match="cannot be read twice; save it as a file"):
        import_evals(settings(tmp_path), table)


def test_a_table_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(prompt: Prompt) -> Sketch:
        table.write_text(GOOD + "more,,1,1\n")
        return Sketch.of(prompt)

    table.write_text(GOOD)
    monkeypatch.setattr("app.commands.evals.Sketch", SimpleNamespace(of=changed))
    with pytest.raises(InvalidInput, match="was changed while it was read"):
        import_evals(settings(tmp_path), table)
    assert not (tmp_path / "turnpike.db").exists()


BAD = {
    "no prompt column": ("text,gpt-4o\nhi,1\n", "no column 'prompt'"),
    "no scores": ("prompt,task\nhi,maths\n", "no score column"),
    "no rows": ("prompt,gpt-4o\n", "has no scores"),
    "nothing": ("", "no column 'prompt'"),
    "a stranger": ("prompt,gpt-4\nhi,1\n", "did you mean 'gpt-4o'"),
    "a word": ("prompt,gpt-4o\nhi,1\nho,good\n", "line 3, column gpt-4o: 'good'"),
    "above one": ("prompt,gpt-4o\nhi,1.5\n", "line 2, column gpt-4o: '1.5'"),
    "below none": ("prompt,gpt-4o\nhi,-0.1\n", "line 2, column gpt-4o: '-0.1'"),
    "nan": ("prompt,gpt-4o\nhi,nan\n", "line 2, column gpt-4o: 'nan'"),
    "infinite": ("prompt,gpt-4o\nhi,1e999\n", "line 2, column gpt-4o: '1e999'"),
    "an empty prompt": ("prompt,gpt-4o\nhi,1\n  ,1\n", "line 3: the prompt is empty"),
    "a cell too many": ("prompt,gpt-4o\nhi,1,0\n", "line 2"),
    "after a prompt of two lines": ('prompt,gpt-4o\n"a\nb",1\nc,x\n', "line 4, column gpt-4o"),
    "a column twice": ("prompt,gpt-4o,gpt-4o\nhi,1,0\n", "gpt-4o"),
    "two prompts": ("prompt,prompt,gpt-4o\nhi,ho,1\n", "column 'prompt' stands twice"),
    "two tasks": ("prompt,task,task,gpt-4o\nhi,a,b,1\n", "column 'task' stands twice"),
    "a text without an end": ('prompt,gpt-4o\n"hi,1\n', "line 2"),
    "a text too long": (f"prompt,gpt-4o\n{'x' * 5_000_000},1\n", "line 2"),
    "a bad task": ("prompt,task,gpt-4o\nhi,a/b/c/d/e,1\n", "line 2, column task"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_table_is_named_and_nothing_of_it_is_learned(
    service: Running, table: Path, text: str, says: str
) -> None:
    table.write_text(text)
    with pytest.raises(InvalidInput) as refusal:
        import_evals(service.parts.settings, table)
    assert says in refusal.value.message
    assert service.parts.log.counts().evals == 0


def test_a_table_that_is_no_text_is_named(service: Running, table: Path) -> None:
    table.write_bytes(b"prompt,gpt-4o\nh\xff,1\n")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        import_evals(service.parts.settings, table)
