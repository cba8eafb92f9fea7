"""Settings under which no service can start: refused by whoever starts it, found by the doctor."""

import json
from pathlib import Path

import pytest

from policy.errors import ConfigError
from tests.app.commands.test_cli import AWAY, EX_CONFIG, turnpike
from tests.app.running import Provider, catalogue, evals_table, eventually, running

STOPPING = {
    "no such arm to compare with": (
        {"TURNPIKE_BASELINE": "nope"},
        "TURNPIKE_BASELINE names 'nope', and there is no such arm; the arms are small, large",
    ),
    "no such arm to ask": (
        {"TURNPIKE_POLICY": "fixed:nope"},
        "TURNPIKE_POLICY names 'nope', and there is no such arm; the arms are small, large",
    ),
    "answers stored of which nothing is kept": (
        {"TURNPIKE_CACHE": "exact", "TURNPIKE_PROMPTS": "off"},
        "TURNPIKE_CACHE is exact while TURNPIKE_PROMPTS is off",
    ),
    "the period of no budget": (
        {"TURNPIKE_BUDGET_PER": "hour"},
        "TURNPIKE_BUDGET_PER is hour and says what TURNPIKE_BUDGET_USD is for",
    ),
    "a similarity of nothing": (
        {"TURNPIKE_CACHE": "semantic", "TURNPIKE_CACHE_SIMILARITY": "0.99"},
        "TURNPIKE_CACHE_SIMILARITY is 0.99, and without TURNPIKE_CACHE_EMBEDDINGS",
    ),
    "embeddings that no provider takes": (
        {"TURNPIKE_CACHE": "semantic", "TURNPIKE_CACHE_EMBEDDINGS": "e"},
        "TURNPIKE_CACHE_EMBEDDINGS is 'e', and no provider takes embeddings",
    ),
    "the key of the example": (
        {"TURNPIKE_API_KEY": "change-me-to-16-letters-or-more"},
        "TURNPIKE_API_KEY begins with 'change-me', as the one in the example does",
    ),
    "the secret of the example": (
        {"TURNPIKE_SECRET": "change-me-to-the-output-of-openssl-rand-base64-48"},
        "TURNPIKE_SECRET begins with 'change-me', as the one in the example does",
    ),
    "an open door without a key": (
        {"TURNPIKE_BIND": "0.0.0.0:9"},
        "bind 0.0.0.0:9 can be reached from outside",
    ),
}
MODEL = {"model": "openai/gpt-4o"}
each_that_stops = pytest.mark.parametrize(("dials", "says"), STOPPING.values(), ids=STOPPING.keys())


@pytest.fixture
def own(tmp_path: Path, provider: Provider) -> dict[str, str]:
    """Return the settings of a catalogue whose provider is there, and of a service that is not."""
    arms = catalogue(tmp_path, provider.url, {"small": {}, "large": {}})
    return {"TURNPIKE_ARMS": str(arms), "TURNPIKE_BIND": AWAY}


@each_that_stops
def test_the_start_is_refused_in_one_line_before_anything_runs(
    tmp_path: Path, own: dict[str, str], dials: dict[str, str], says: str
) -> None:
    ended = turnpike(tmp_path, "serve", **own | dials)
    assert ended.exit_code == EX_CONFIG
    assert ended.stderr.startswith(f"turnpike: {says}")
    assert len(ended.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["arms.toml"]


@each_that_stops
def test_the_doctor_finds_what_stops_the_start(
    tmp_path: Path, own: dict[str, str], dials: dict[str, str], says: str
) -> None:
    ended = turnpike(tmp_path, "doctor", "--json", **own | dials)
    problems = [each for each in json.loads(ended.stdout) if each["level"] == "problem"]
    assert ended.exit_code == 1
    assert [each["says"][: len(says)] for each in problems] == [says]


def test_the_doctor_finds_settings_that_agree(tmp_path: Path, own: dict[str, str]) -> None:
    ended = turnpike(tmp_path, "doctor", "--json", **own, TURNPIKE_BASELINE="small")
    found = {each["about"]: each for each in json.loads(ended.stdout)}
    assert (ended.exit_code, found["settings"]["level"]) == (0, "ok")
    assert "which only this machine can reach" in found["access"]["says"]


def test_each_process_that_serves_is_refused_too(tmp_path: Path, own: dict[str, str]) -> None:
    dials = {"arms": own["TURNPIKE_ARMS"], "baseline": "nope"}
    refused = pytest.raises(ConfigError, match="TURNPIKE_BASELINE names 'nope'")
    with refused, running(tmp_path, **dials):
        pass


@pytest.mark.parametrize("named", [{"policy": "fixed:large"}, {"baseline": "large"}], ids=str)
def test_an_edit_that_takes_away_an_arm_that_is_named_is_not_followed(
    tmp_path: Path, provider: Provider, named: dict[str, str]
) -> None:
    path = catalogue(tmp_path, provider.url, {"small": MODEL, "large": MODEL})
    with running(tmp_path, arms=path, **named) as service:
        catalogue(tmp_path, provider.url, {"small": MODEL})
        assert eventually(lambda: service.get("/policy")["catalogue_error"] is not None)
        told = service.get("/policy")["catalogue_error"]
        assert f"TURNPIKE_{next(iter(named)).upper()} names 'large'" in told
        assert service.ask(models=["large"])["arm"] == "large"
        catalogue(tmp_path, provider.url, {"new": MODEL, "large": MODEL})
        assert eventually(lambda: service.get("/policy")["catalogue_error"] is None)
        assert "new" in service.parts.catalogue().arms


def test_no_report_is_made_against_an_arm_that_is_not_there(
    tmp_path: Path, own: dict[str, str]
) -> None:
    turnpike(tmp_path, "import", str(evals_table(tmp_path / "evals.csv", 3)))
    ended = turnpike(tmp_path, "report", **own, TURNPIKE_BASELINE="nope")
    assert ended.exit_code == EX_CONFIG
    assert ended.stderr.splitlines()[-1].startswith("turnpike: TURNPIKE_BASELINE names 'nope'")
    assert turnpike(tmp_path, "report", **own, TURNPIKE_BASELINE="small").exit_code == 0
