"""A command that found no provider's key says that it acts on the sandbox's log, or refuses."""

from pathlib import Path

import pytest
from click.testing import Result

from storage.sqlite_log import SqliteLog
from tests.app.commands.test_cli import turnpike
from tests.app.running import catalogue, evals_table

UNSET = "SOME_KEY_THAT_IS_NOT_SET"
GRAVE = (["forget", "--tenant", "acme", "--yes"], ["prune"], ["keys", "list"],
         ["keys", "create", "shop"], ["migrate-to", "postgresql://127.0.0.1:1/x"])  # fmt: skip


def ended(folder: Path, *arguments: str, sandbox: str = "auto") -> Result:
    arms = catalogue(folder, "http://127.0.0.1:1/v1", {"one": {}}, {"api_key_env": UNSET})
    return turnpike(folder, *arguments, TURNPIKE_ARMS=str(arms), TURNPIKE_SANDBOX=sandbox)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Return a folder with a log, and a sandbox's log beside it."""
    (tmp_path / "sandbox").mkdir()
    for place in (tmp_path, tmp_path / "sandbox"):
        SqliteLog(place / "turnpike.db").close()
    return tmp_path


@pytest.mark.parametrize("arguments", GRAVE, ids=" ".join)
def test_what_is_grave_is_not_done_to_a_log_that_nobody_named(
    both: Path, arguments: list[str]
) -> None:
    refused = ended(both, *arguments)
    assert refused.exit_code == 78
    assert f"log {both / 'sandbox' / 'turnpike.db'}, because {UNSET} is not set" in refused.stderr
    assert f"to off for {both / 'turnpike.db'}" in refused.stderr
    for named in ("on", "off"):
        assert "is not set" not in ended(both, *arguments, sandbox=named).output


def test_what_reads_says_which_log_it_was(both: Path) -> None:
    said = f"turnpike: sandbox log {both / 'sandbox' / 'turnpike.db'}, because {UNSET} is not set"
    assert said in ended(both, "export", str(both / "e.parquet")).stderr
    assert "is not set" not in ended(both, "export", str(both / "e.parquet"), sandbox="on").stderr


def test_without_another_log_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    assert ended(tmp_path, "keys", "create", "shop").exit_code == 0
    assert ended(tmp_path, "keys", "list").stderr == ""


@pytest.mark.parametrize("arguments", [*GRAVE[:-1], ["withdraw"]], ids=" ".join)
def test_while_the_catalogue_is_wrong_what_needs_none_is_done_to_the_log_that_is_named(
    both: Path, arguments: list[str]
) -> None:
    arms = both / "arms.toml"
    arms.write_text("oops =", encoding="utf-8")
    refused = turnpike(both, *arguments, TURNPIKE_ARMS=str(arms), TURNPIKE_SANDBOX="auto")
    assert refused.exit_code == 78
    assert "the line says 'oops ='" in refused.stderr
    assert "or set TURNPIKE_SANDBOX to on or to off" in refused.stderr
    done = turnpike(both, *arguments, TURNPIKE_ARMS=str(arms), TURNPIKE_SANDBOX="off")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("sandbox", ["auto", "off"])
def test_while_the_catalogue_is_wrong_what_needs_its_arms_says_so(both: Path, sandbox: str) -> None:
    arms, evals = both / "arms.toml", evals_table(both / "evals.csv", 1)
    arms.write_text("oops =", encoding="utf-8")
    for arguments in (["report"], ["import", str(evals)]):
        refused = turnpike(both, *arguments, TURNPIKE_ARMS=str(arms), TURNPIKE_SANDBOX=sandbox)
        assert refused.exit_code == 78
        assert "the line says 'oops ='" in refused.stderr
        assert refused.stderr.endswith("; mend it: this command needs its arms\n")
