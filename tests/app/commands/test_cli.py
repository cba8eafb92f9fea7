"""The commands as an operator meets them: one line for a mistake, and an exit code that says so."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.commands.cli import main
from policy import VERSION
from storage.sqlite_reader import SqliteReader
from tests.app.running import BESIDE, CATALOGUE, Provider, Running, catalogue, evals_table, running

EX_CONFIG = 78
AWAY = "127.0.0.1:9"


def turnpike(folder: Path, *arguments: str, **dials: str) -> Result:
    """Run one command on the log in a folder, with no settings but these."""
    others = {name: None for name in os.environ if name.startswith("TURNPIKE_")}
    ours = {"TURNPIKE_DATABASE": str(folder / "turnpike.db"), "TURNPIKE_SANDBOX": "off"}
    return CliRunner().invoke(main, arguments, env={**others, **ours, **dials})


@pytest.fixture
def started_once(tmp_path: Path, provider: Provider) -> Path:
    """Return the folder of a service that has run, and has ended."""
    with running(tmp_path, sandbox_url=provider.url) as service:
        service.rate(service.ask()["id"])
    return tmp_path


def test_the_version_that_runs_is_told(tmp_path: Path) -> None:
    ended = turnpike(tmp_path, "--version")
    assert (ended.exit_code, ended.output) == (0, f"turnpike {VERSION}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("report", "--json", "--csv"), "one of --json, --csv and --keep"),
        (("balance", "--port", "8080", "--to", "nonsense"), "it must be host:port"),
        (("balance", "--port", "8080", "--to", "127.0.0.1:99999"), "from 1 to 65535"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    ended = turnpike(tmp_path, *arguments)
    assert (ended.exit_code, says in " ".join(ended.stderr.split())) == (2, True), ended.stderr
    assert list(tmp_path.iterdir()) == []


WRONG = {
    "a variable misspelt": ({"TURNPIKE_WILINGNESS_TO_PAY_USD": "1"}, "WILLINGNESS_TO_PAY_USD"),
    "a value out of range": ({"TURNPIKE_CONNECTIONS": "0"}, "CONNECTIONS"),
    "no number": ({"TURNPIKE_RETRAIN_EVERY_S": "soon"}, "'soon'"),
    "an open door without a key": ({"TURNPIKE_BIND": "0.0.0.0:8000"}, "API_KEY"),
    "no such rule": ({"TURNPIKE_POLICY": "best"}, "thompson"),
    "no such catalogue": ({"TURNPIKE_ARMS": "nowhere.toml"}, "nowhere.toml"),
    "another store": ({"TURNPIKE_DATABASE": "mysql://x/y"}, "postgresql://"),
    "two writers of one file": ({"TURNPIKE_WORKERS": "2"}, "only one process may write"),
    "no such settings": ({"TURNPIKE_CONFIG": "nowhere.toml"}, "nowhere.toml"),
}


@pytest.mark.parametrize(("dials", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_setting_stops_the_start_with_one_line(
    tmp_path: Path, dials: dict[str, str], says: str
) -> None:
    ended = turnpike(tmp_path, "serve", **dials)
    assert ended.exit_code == EX_CONFIG, ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("turnpike: ")
    assert says in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["turnpike.db", "deeper/turnpike.db"])
def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path, below: str) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    dials = {"TURNPIKE_SANDBOX": "on", "TURNPIKE_DATABASE": str(in_the_way / below)}
    with socket.create_server(("127.0.0.1", 0)) as freed:
        dials["TURNPIKE_BIND"] = f"127.0.0.1:{freed.getsockname()[1]}"
    ended = turnpike(tmp_path, "serve", **dials)
    assert ended.exit_code == EX_CONFIG, ended.stderr
    assert ended.stderr.startswith(f"turnpike: the folder {in_the_way}")
    assert "TURNPIKE_DATABASE" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_mistake_is_one_line_of_the_real_process_too(tmp_path: Path) -> None:
    environ = {**os.environ, "TURNPIKE_CONECTIONS": "8"}
    command = [sys.executable, "-W", "error", "-m", "app", "serve"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == EX_CONFIG
    assert ended.stderr.startswith(
        "turnpike: 'TURNPIKE_CONECTIONS' in the environment is no setting"
    )
    assert "TURNPIKE_CONNECTIONS" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_commands_before_the_first_start_say_what_to_do(tmp_path: Path) -> None:
    for command in ("retrain", "rollback"):
        ended = turnpike(tmp_path, command)
        assert ended.exit_code == EX_CONFIG
        assert ended.stderr.splitlines()[-1].endswith("start the service once, or correct the path")


def test_import_works_before_the_first_start(tmp_path: Path) -> None:
    table = evals_table(tmp_path / "evals.csv", 3)
    ended = turnpike(tmp_path, "import", str(table))
    assert ended.exit_code == 0, ended.stderr
    assert "imported 18 scores of 6 arms on 3 prompts" in ended.stdout
    with SqliteReader(tmp_path / "turnpike.db") as log:
        assert log.counts().evals == 18


def test_a_bad_table_is_one_line(tmp_path: Path) -> None:
    table = tmp_path / "evals.csv"
    table.write_text("prompt,gpt-4o\nhi,good\n")
    ended = turnpike(tmp_path, "import", str(table))
    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-1] == (
        "turnpike: line 2, column gpt-4o: 'good' is no score from 0 to 1"
    )


@pytest.mark.slow
def test_retrain_and_rollback_without_a_service(started_once: Path) -> None:
    early = turnpike(started_once, "retrain")
    assert (early.exit_code, early.stdout[:44]) == (
        0, "kept the incumbent: not enough feedback yet:",
    )  # fmt: skip
    assert turnpike(started_once, "rollback").exit_code == 1
    turnpike(started_once, "import", str(evals_table(started_once / "evals.csv")))
    promoted = turnpike(started_once, "retrain")
    assert promoted.stdout.startswith("promoted: "), promoted.stderr
    back = turnpike(started_once, "rollback")
    assert back.stdout == "policy 3 serves: it is version 1 again\n"
    unknown = turnpike(started_once, "rollback", "9")
    assert unknown.exit_code == 2
    assert "9" in unknown.stderr.splitlines()[-1]
    with SqliteReader(started_once / "turnpike.db") as log:
        latest = log.latest_policy()
        assert latest is not None
        assert (latest.version, latest.source) == (3, "rollback")
        assert [each.promoted for each in log.retrains()] == [True, False]


def test_one_process_of_a_machine_retrains_and_the_others_say_so(started_once: Path) -> None:
    with (started_once / BESIDE / "retrain.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process is retraining" in turnpike(started_once, "retrain").stdout
    assert "not enough feedback yet" in turnpike(started_once, "retrain").stdout


@pytest.mark.slow
def test_retrain_and_rollback_beside_a_running_service(service: Running, tmp_path: Path) -> None:
    service.rate(service.ask()["id"])
    table = str(evals_table(tmp_path / "evals.csv"))
    assert turnpike(tmp_path, "import", table).exit_code == 0
    assert service.parts.log.counts().evals == 600
    assert "promoted: " in turnpike(tmp_path, "retrain").stdout
    assert service.get("/healthz")["policy_version"] == 2
    assert turnpike(tmp_path, "rollback").exit_code == 0
    assert service.get("/healthz")["policy_version"] == 3
    assert service.ask()["policy_version"] == 3
    assert list((tmp_path / BESIDE / "handover").iterdir()) == []


def test_doctor_says_what_to_do_in_json(started_once: Path, provider: Provider) -> None:
    arms = started_once / "arms.toml"
    arms.write_text(CATALOGUE.read_text().replace("https://global-apis.com/v1", provider.url))
    dials = {"TURNPIKE_BIND": AWAY, "TURNPIKE_ARMS": str(arms), "TURNPIKE_SANDBOX": "auto"}
    (started_once / "sandbox").mkdir()
    (started_once / "turnpike.db").rename(started_once / "sandbox" / "turnpike.db")
    ended = turnpike(started_once, "doctor", "--json", **dials)
    findings = {finding["about"]: finding for finding in json.loads(ended.stdout)}
    assert ended.exit_code == 0, ended.stderr
    assert findings["catalogue"]["level"] == "ok"
    assert "GLOBAL_API_KEY is not set" in findings["key"]["says"]
    assert "does not answer" in findings["service"]["says"]
    assert "1 decisions, policy version 1" in findings["log"]["says"]
    assert findings["feedback"]["says"].startswith("1 rated decisions")


def test_doctor_reports_a_problem_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "arms.toml").write_text("[arm.a]\n")
    arms = str(tmp_path / "arms.toml")
    ended = turnpike(tmp_path, "doctor", "--json", TURNPIKE_ARMS=arms, TURNPIKE_SANDBOX="auto")
    assert ended.exit_code == 1
    problems = [each for each in json.loads(ended.stdout) if each["level"] == "problem"]
    assert [finding["about"] for finding in problems] == ["catalogue"]
    catalogue(tmp_path, f"http://{AWAY}/v1", {"a": {}})
    (tmp_path / "turnpike.db").write_text("not a database at all, but long enough " * 99)
    ended = turnpike(tmp_path, "doctor", TURNPIKE_BIND=AWAY, TURNPIKE_ARMS=arms)
    assert ended.exit_code == 1
    assert "turnpike.db" in ended.stdout


@pytest.mark.parametrize("group", [[], ["keys"], ["arms"]])
def test_help_cuts_no_sentence(tmp_path: Path, group: list[str]) -> None:
    told = turnpike(tmp_path, *group, "--help").stdout
    assert "..." not in told.partition("Options:")[2]
