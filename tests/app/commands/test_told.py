"""What every command keeps to: exit codes of one meaning, JSON for scripts, help in sections."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Group
from click.testing import CliRunner

from app.commands.cli import SECTIONS, main
from app.commands.told import EX_CONFIG, EX_FAILED, EX_USAGE, EXIT_CODES, Sections
from tests.app.commands.test_cli import AWAY, turnpike
from tests.app.running import Provider, evals_table, running

ROOT = Path(__file__).parents[3]
RUN_UNTIL_STOPPED = {"serve", "work", "sandbox", "balance", "cluster"}
TELL_LINE_BY_LINE = {"migrate-to"}


def commands(group: Group = main, before: str = "") -> Iterator[tuple[str, Command]]:
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_every_command_that_gives_a_result_gives_it_as_json_too() -> None:
    without = {
        name
        for name, command in commands()
        if not any("--json" in option.opts for option in command.params)
    }
    assert without == RUN_UNTIL_STOPPED | TELL_LINE_BY_LINE


def test_every_command_says_in_a_sentence_what_it_does_and_stands_in_a_section() -> None:
    for name, command in commands():
        assert (command.help or "").partition("\n")[0].endswith("."), name
    placed = [name for names in SECTIONS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(main.commands) <= set(placed)


def test_help_lists_every_command_under_what_it_is_for(tmp_path: Path) -> None:
    shown = turnpike(tmp_path, "--help").stdout
    for title, names in SECTIONS.items():
        assert f"{title}:" in shown
        assert all(f"\n  {name}" in shown for name in names if name in main.commands)
    assert "More:" not in shown
    assert shown.count("...") == 1  # of the usage: no sentence is cut


@pytest.mark.parametrize(
    ("arguments", "dials", "code"),
    [
        (("keys", "list"), {}, 0),
        (("--help",), {}, 0),
        (("keys", "revoke", "nobody"), {}, 2),
        (("arms", "check"), {"TURNPIKE_ARMS": "data/arms.toml"}, 1),
        (("doctor",), {"TURNPIKE_ARMS": "nowhere.toml"}, 1),
        (("no-such-command",), {}, 2),
        (("keys", "create", "shop", "--budget-usd", "much"), {}, 2),
        (("rollback", "one"), {}, 2),
        (("rollback", "0"), {}, 2),
        (("rollback", str(10**24)), {}, 2),
        (("demo", "--prompts", "0"), {}, 2),
        (("demo", "--rated", "7"), {}, 2),
        (("cluster", "--prompts", "0"), {}, 2),
        (("sandbox", "--port", "99999"), {}, 2),
        (("balance", "--port", "0", "--to", "a:1"), {}, 2),
        (("retrain",), {}, 78),
        (("keys", "list"), {"TURNPIKE_POLCY": "x"}, 78),
        (("arms", "list"), {"TURNPIKE_ARMS": "nowhere.toml"}, 78),
        (("demo",), {"TURNPIKE_BIND": "127.0.0.1:9"}, 78),
    ],
)
def test_exit_codes_mean_what_is_documented(
    tmp_path: Path, arguments: tuple[str, ...], dials: dict[str, str], code: int
) -> None:
    ended = turnpike(tmp_path, *arguments, **dials)
    assert ended.exit_code == code, ended.output
    assert code in EXIT_CODES


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Path:
    """Return the folder of a log of two policy versions, in which somebody is forgotten."""
    folder = tmp_path_factory.mktemp("used")
    with running(folder, sandbox_url=provider.url) as service:
        service.ask()
    assert turnpike(folder, "forget", "--yes", "--tenant", "default").exit_code == 0
    return folder


WRONG = {
    "rollback 99": "there is no policy version 99; the newest are 2, 1",
    "forget --yes --tenant (forgotten)": "tenant is '(forgotten)': so is called whoever is",
    "export {folder}/x.parquet --since foo": "since is 'foo': it must be a span such as 36h",
    "arms check nope": "'nope' is no arm; the arms are ",
    "arms sync nope": "'nope' is no provider; those of data/arms.toml are ",
    "keys create a --arms nope": "'nope' is no arm; the arms are ",
    "demo --key a\nb": "key is none: it must be letters, digits and signs, without spaces",
}


@pytest.mark.parametrize("line", WRONG)
def test_an_argument_that_is_wrong_is_one_line_and_told_by_the_exit_code(
    used: Path, line: str
) -> None:
    ended = turnpike(used, *(each.format(folder=used) for each in line.split(" ")))
    assert ended.exit_code == EX_USAGE, ended.output
    assert ended.stderr.startswith(f"turnpike: {WRONG[line]}")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("more", [("sandbox",), ("balance", "--to", AWAY)], ids=" ".join)
def test_a_port_that_is_taken_is_one_line(more: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "app", *more, "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == EX_CONFIG
    assert ended.stderr == (
        f"turnpike: port {port} of 127.0.0.1 cannot be used: Address already in use; "
        "free it, or choose another\n"
    )


def test_results_are_json_on_standard_output_and_progress_is_not(
    tmp_path: Path, provider: Provider
) -> None:
    table = evals_table(tmp_path / "evals.csv", 30)
    imported = turnpike(tmp_path, "import", str(table), "--json")
    assert json.loads(imported.stdout)["prompts"] == 30
    with running(tmp_path, sandbox_url=provider.url) as service:
        for n in range(6):
            service.rate(service.ask(f"What is {n} + 4?")["id"])
    told = json.loads(turnpike(tmp_path, "retrain", "--json").stdout)
    assert told["reason"]
    assert told["promoted"] in {True, False}
    again = turnpike(tmp_path, "rollback", "1", "--json")
    if again.exit_code == 0:
        assert json.loads(again.stdout)["again"] == 1
    else:
        assert "no earlier policy version" in again.stderr
    arms = json.loads(turnpike(tmp_path, "arms", "list", "--json").stdout)
    assert {each["name"] for each in arms} > {"gpt-4o"}


STARTED = {"./run": ("./run",), "python -m app": (sys.executable, "-m", "app")}


@pytest.mark.parametrize("named", STARTED)
def test_usage_and_hints_name_what_we_were_started_by(tmp_path: Path, named: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TURNPIKE_")}
    environ = {**clean, "TURNPIKE_DATABASE": str(tmp_path / "turnpike.db")}

    def told(*arguments: str) -> str:
        ended = subprocess.run(
            [*STARTED[named], *arguments], env=environ, capture_output=True, text=True, check=False
        )
        return ended.stdout + ended.stderr

    assert told("demo", "--prompts", "0").startswith(f"Usage: {named} demo [OPTIONS]")
    assert told("keys", "list").endswith(f"make one with `{named} keys create NAME`\n")
    assert f"`{named} retrain`" in told("import", str(evals_table(tmp_path / "evals.csv", 3)))


def test_a_file_is_where_whoever_calls_is_and_not_beside_ours(tmp_path: Path) -> None:
    evals_table(tmp_path / "evals.csv", 3)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TURNPIKE_")}
    environ = {**clean, "TURNPIKE_DATABASE": str(tmp_path / "turnpike.db")}
    for told in (("import", "evals.csv"), ("export", "log.parquet")):
        ended = subprocess.run(
            [ROOT / "run", *told],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "log.parquet").is_file()


def test_a_link_to_run_is_as_good_as_run(tmp_path: Path) -> None:
    (tmp_path / "turnpike").symlink_to(ROOT / "run")
    told = subprocess.run(
        [tmp_path / "turnpike", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.stdout.startswith("Usage: ./run [OPTIONS] COMMAND"), told.stderr


@pytest.mark.parametrize("asked", ["say", "--help"])
def test_what_a_full_disk_does_not_take_is_told_in_one_line(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Sections, "get_help", say)
    group = Sections(sections={}, commands={"say": Command("say", callback=say)})
    ended = CliRunner().invoke(group, [asked])
    said = f"turnpike: what it says cannot be written: {os.strerror(errno.ENOSPC)}\n"
    assert (ended.exit_code, ended.stderr) == (EX_FAILED, said)
