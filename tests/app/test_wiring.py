"""The catalogue is edited while the service runs: arms, prices, mistakes, hints."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.commands.training import rollback
from storage.events import Event
from tests.app.routing.test_live import folded
from tests.app.running import SUM, Provider, Running, catalogue, eventually, running
from upstream.watch import LOOK_EVERY_S

MODELS = {
    "cheap": "zhipuai/GLM-4-Plus",
    "dear": "openai/gpt-4o",
    "new": "deepseek-ai/DeepSeek-V4-Pro",
}
DEAR = {"input_usd_per_mtok": 30.0, "output_usd_per_mtok": 30.0}

Edit = Callable[[Mapping[str, Mapping[str, Any]]], None]


def tables(**arms: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"model": MODELS[name], **more} for name, more in arms.items()}


@pytest.fixture
def path(tmp_path: Path, provider: Provider) -> Path:
    return catalogue(tmp_path, provider.url, tables(cheap={}, dear=DEAR))


@pytest.fixture
def service(tmp_path: Path, path: Path) -> Iterator[Running]:
    with running(tmp_path, arms=path, sandbox="off") as made:
        for n in range(6):
            made.rate(made.ask(f"What is {n} + 9?", models=["dear"])["id"], "up")
            made.rate(made.ask(f"What is {n} + 8?", models=["cheap"])["id"], "down")
        yield made


@pytest.fixture
def edit(service: Running, path: Path, provider: Provider) -> Edit:
    """Replace the catalogue as an editor would, and wait until it is in use."""

    def replace(arms: Mapping[str, Mapping[str, Any]]) -> None:
        before = service.parts.catalogue()
        folder = path.parent / "edited"
        folder.mkdir(exist_ok=True)
        os.replace(catalogue(folder, provider.url, arms), path)
        assert eventually(lambda: service.parts.catalogue() is not before)

    return replace


def routed(service: Running, **wish: Any) -> dict[str, Any]:
    asked = {"prompt": SUM, "explore": False, **wish}
    return {arm["arm"]: arm for arm in service.post("/route", asked).json["arms"]}


def beliefs(service: Running) -> dict[str, dict[str, float]]:
    return {arm["arm"]: arm["belief"] for arm in service.get("/policy")["arms"]}


@pytest.mark.slow
def test_a_new_arm_starts_from_what_its_siblings_taught_and_is_tried(
    service: Running, edit: Edit
) -> None:
    edit(tables(cheap={}, dear=DEAR, new={}))
    told = beliefs(service)
    assert told["new"]["effective_n"] == 0.0
    assert told["new"]["quality_sd"] > told["dear"]["quality_sd"]
    asked = [service.ask(f"What is {n} * 11?", willingness_to_pay=0.002) for n in range(80)]
    assert "new" in {answer["arm"] for answer in asked}


def test_a_new_arm_is_listed_in_a_policy_version_that_keeps_every_thumb(
    service: Running, edit: Edit
) -> None:
    before = beliefs(service)
    edit(tables(cheap={}, dear=DEAR, new=DEAR))
    assert eventually(lambda: service.get("/healthz")["policy_version"] == 2)
    assert service.get("/policy")["hyper"]["listed"]["new"] == 30.0
    after = beliefs(service)
    for arm in ("cheap", "dear"):
        assert after[arm]["effective_n"] == pytest.approx(before[arm]["effective_n"])
        assert after[arm]["quality"] == pytest.approx(before[arm]["quality"], abs=0.01)
    assert after["cheap"]["quality"] < after["new"]["quality"] < after["dear"]["quality"]


def test_a_rollback_goes_back_on_no_arm_and_no_hint(service: Running, edit: Edit) -> None:
    edit(tables(cheap={}, dear=DEAR, new=DEAR | {"quality": 0.95}))
    assert eventually(lambda: service.get("/healthz")["policy_version"] == 2)
    before = beliefs(service)
    rollback(service.parts.settings, 1)
    assert eventually(lambda: service.get("/healthz")["policy_version"] == 3)
    hyper, after = service.get("/policy")["hyper"], beliefs(service)
    assert (hyper["listed"]["new"], hyper["hints"]) == (30.0, {"new": 0.95})
    assert after["new"]["quality"] == pytest.approx(before["new"]["quality"])


def test_the_log_is_not_folded_anew_to_list_an_arm_and_what_is_learned_is_as_if_it_were(
    service: Running, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, events = service.learned.upto_seq, service.parts.log.events

    def read(after_seq: int = 0, upto_seq: int | None = None) -> Iterator[Event]:
        assert after_seq >= known, "the log is read"
        return events(after_seq, upto_seq)

    with monkeypatch.context() as patched:
        patched.setattr(service.parts.log, "events", read)
        edit(tables(cheap={}, dear=DEAR, new=DEAR))
        assert eventually(lambda: service.get("/healthz")["policy_version"] == 2)
    assert service.digest == folded(service)
    service.rate(service.ask("What is 3 + 4?", models=["new"])["id"], "up")
    assert service.digest == folded(service)


def test_a_removed_arm_is_not_asked_and_keeps_its_history(service: Running, edit: Edit) -> None:
    old = service.ask(models=["dear"])["id"]
    known = service.digest
    edit(tables(cheap={}))
    assert routed(service).keys() == {"cheap"}
    assert service.get(f"/decisions/{old}")["arm"] == "dear"
    assert [arm["arm"] for arm in service.get("/policy")["arms"]] == ["cheap"]
    assert service.digest == known
    status, error = service.refused("/complete", {"prompt": SUM, "models": ["dear"]})
    assert (status, error["code"]) == (400, "model_not_found")


def test_a_thumb_for_a_removed_arm_is_kept_for_its_return(service: Running, edit: Edit) -> None:
    old = service.ask(models=["dear"])["id"]
    edit(tables(cheap={}))
    assert service.rate(old, "up")["status"] == "recorded"
    edit(tables(cheap={}, dear=DEAR))
    assert beliefs(service)["dear"]["effective_n"] == pytest.approx(7)


def test_a_price_moves_the_next_decision_and_nothing_that_was_learned(
    service: Running, edit: Edit
) -> None:
    known, before = service.digest, routed(service)
    chosen = service.post("/route", {"prompt": SUM, "explore": False}).json["arm"]
    assert chosen == "dear"
    edit(tables(cheap={}, dear={"input_usd_per_mtok": 3000.0, "output_usd_per_mtok": 3000.0}))
    after = routed(service)
    assert after["dear"]["cost_usd"] == pytest.approx(100 * before["dear"]["cost_usd"])
    assert after["dear"]["quality"] == before["dear"]["quality"]
    assert after["cheap"]["cost_usd"] == before["cheap"]["cost_usd"]
    assert service.post("/route", {"prompt": SUM, "explore": False}).json["arm"] == "cheap"
    service.parts.live.follow(service.parts.catalogue().arms.values(), 0.0)
    assert service.get("/healthz")["policy_version"] == 1
    assert service.digest == known


@pytest.mark.parametrize("broken", ["[arm.", "", "\x00", "[arm.dear]\nprice = 3\n"])
def test_a_broken_file_is_reported_while_the_last_good_one_serves(
    service: Running, path: Path, broken: str
) -> None:
    good = path.read_text()
    path.write_text(broken)
    assert eventually(lambda: service.get("/policy")["catalogue_error"] is not None)
    assert str(path) in service.get("/policy")["catalogue_error"]
    assert service.ask()["arm"] in {"cheap", "dear"}
    path.write_text(good)
    assert eventually(lambda: service.get("/policy")["catalogue_error"] is None)


def test_a_mistake_has_one_line_until_it_is_another_or_gone(service: Running, path: Path) -> None:
    good = path.read_text()
    with capture_logs() as lines:
        for text in (good.replace("= 1.0", "= -1.0", 1), good):
            path.write_text(text)
            broken = text != good
            assert eventually(lambda is_so=broken: bool(service.parts.file.error) is is_so)
            for _ in range(3):
                time.sleep(LOOK_EVERY_S)
                service.get("/policy")
    told = [each for each in lines if each["event"].startswith("the catalogue ")]
    assert [each["log_level"] for each in told] == ["warning", "info"]
    assert [each.get("reason", "")[:9] for each in told] == [str(path)[:9], ""]


def test_a_missing_file_is_reported_while_the_last_good_one_serves(
    service: Running, path: Path
) -> None:
    path.unlink()
    assert eventually(lambda: service.get("/policy")["catalogue_error"] is not None)
    assert service.ask()["arm"] in {"cheap", "dear"}


def test_a_hint_of_quality_is_a_new_policy_version_that_keeps_every_thumb(
    service: Running, edit: Edit
) -> None:
    before = beliefs(service)
    edit(tables(cheap={"quality": 0.95}, dear=DEAR))
    assert eventually(lambda: service.get("/healthz")["policy_version"] == 2)
    after = beliefs(service)
    assert after["cheap"]["quality"] > before["cheap"]["quality"]
    hint = service.learned.beliefs.quality.prior.hint_weight
    assert after["cheap"]["effective_n"] == pytest.approx(before["cheap"]["effective_n"] + hint)
    assert after["dear"]["effective_n"] == pytest.approx(before["dear"]["effective_n"])
    assert service.ask()["policy_version"] == 2
    edit(tables(cheap={}, dear=DEAR))
    assert eventually(lambda: service.get("/healthz")["policy_version"] == 3)
    assert beliefs(service)["cheap"]["quality"] == pytest.approx(
        before["cheap"]["quality"], abs=0.01
    )


def test_a_hint_that_was_there_at_the_start_makes_no_second_version(
    tmp_path: Path, provider: Provider
) -> None:
    path = catalogue(tmp_path, provider.url, tables(cheap={"quality": 0.9}, dear=DEAR))
    for _ in range(2):
        with running(tmp_path, arms=path, sandbox="off") as made:
            made.parts.live.follow(made.parts.catalogue().arms.values(), 0.0)
            assert made.get("/healthz")["policy_version"] == 1


def test_a_provider_may_move_while_the_service_runs(
    service: Running, path: Path, provider: Provider, tmp_path: Path
) -> None:
    text = path.read_text()
    path.write_text(text.replace(provider.url, "http://127.0.0.1:9/v1"))
    assert eventually(lambda: service.post("/complete", {"prompt": SUM}).status_code == 502)
    path.write_text(text)
    assert eventually(lambda: service.post("/complete", {"prompt": SUM}).status_code == 200)
