"""What every command keeps to: exit codes of one meaning, JSON for scripts, help in sections."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Group

from app.commands.cli import SECTIONS, main
from app.commands.told import EXIT_CODES
from tests.app.commands.test_cli import turnpike
from tests.app.running import Provider, evals_table, running

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
        (("keys", "revoke", "nobody"), {}, 1),
        (("arms", "check"), {"TURNPIKE_ARMS": "data/arms.toml"}, 1),
        (("doctor",), {"TURNPIKE_ARMS": "nowhere.toml"}, 1),
        (("no-such-command",), {}, 2),
        (("keys", "create", "shop", "--budget-usd", "much"), {}, 2),
        (("rollback", "one"), {}, 2),
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
