"""What the pages show a tenant's reader: its own figures, and nothing that tells of all tenants."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.api.access import scope_of
from app.monitoring.drift import Drift
from app.monitoring.lookout import Alarm
from tests.app.keyed import Keyed
from tests.app.pages.test_sign_in import KEY
from tests.app.running import Provider, Running, running
from tests.storage.rounds import RETRAIN, but

ALARM = Alarm("budget", "", "critical", "97% of the $4,321 for this day is spent", "wait", 0.0)
OPERATORS = ("learned_events", "store", "counts", "alarms", "catalogue_error")
WAY = '<nav aria-label="Pages">'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    """A service that a rival has used far more than acme, with something for its operator."""
    folder = tmp_path_factory.mktemp("tenants")
    with running(folder, sandbox_url=provider.url, api_key=KEY, budget_usd=4_321.0) as made:
        acme, rival = Keyed(made, "acme"), Keyed(made, "rival")
        acme.ask("What is 2 + 2?", task="sums")
        for n in range(13):
            asked = rival.ask(f"What is {n} + 4?", task="rival/merger")
            rival.post("/feedback", {"id": asked["id"], "thumbs": "up", "comment": "rival's"})
        made.parts.alarms.stop()  # it would look, and find nothing
        made.parts.alarms.open = (ALARM,)
        yield made


@pytest.fixture(scope="module")
def reader(service: Running) -> Keyed:
    return Keyed(service, "reader", tenant="acme", scopes=("read",))


@pytest.fixture(scope="module")
def operator(service: Running) -> Keyed:
    return Keyed(service, "operator", tenant="default", scopes=("read", "admin"))


def test_settings_and_findings_are_the_operators_alone(reader: Keyed, operator: Keyed) -> None:
    for path in ("/pages/settings", "/pages/settings/findings"):
        refused = reader.get(path)
        assert (refused.status_code, refused.mimetype) == (403, "text/html")
        assert "needs a key with scope admin; the one given has read" in refused.text
        assert operator.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/pages/retrains", "/pages/settings"])
def test_only_who_may_open_the_settings_is_shown_the_way_there(
    reader: Keyed, operator: Keyed, path: str
) -> None:
    told = [each.get(path).text for each in (reader, operator)]
    assert [WAY in text for text in told] == [True, True]
    assert ['href="/pages/settings"' in text for text in told] == [False, True]


def test_where_there_is_no_page_who_has_signed_in_finds_the_same_way(
    service: Running, reader: Keyed, operator: Keyed
) -> None:
    keyring = service.parts.keyring
    for key, shown in ((reader.key, False), (operator.key, True)):
        session = keyring.session(keyring.holder(key))
        with service.client.application.test_client() as browser:
            browser.set_cookie("turnpike-session", session)
            text = browser.get("/pages/nothing").text
        assert (WAY in text, 'href="/pages/settings"' in text) == (True, shown)


def test_figures_of_all_tenants_are_told_to_operators_only(
    service: Running, reader: Keyed, operator: Keyed
) -> None:
    [own] = [each for each in service.parts.log.recent(99) if each.tenant == "acme"]
    told = {
        "/": "$4,321",
        "/pages/retrains": "13 ratings have come",
        "/pages/policy": "learned up to event",
        f"/pages/decisions/{own.id}": "Learned up to",
    }
    for path, says in told.items():
        assert [says in each.get(path).text for each in (reader, operator)] == [False, True]
    assert "Policy 1 serves." in reader.get("/pages/retrains").text


def test_the_policy_as_json_keeps_them_back_as_well(
    service: Running, reader: Keyed, operator: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = but(RETRAIN, report={"rule": "none", "outcomes": 14, "upto_seq": 41})
    service.parts.log.record_retrain(record).wait()
    drift = Drift("other", "gpt-4o", 14, 0.0, 1.0)
    monkeypatch.setattr(service.parts.router.drifts, "of", lambda _arm: drift)
    ours, theirs = (each.get("/policy").json for each in (operator, reader))
    assert ours is not None
    assert theirs is not None
    assert ours.keys() == theirs.keys()
    assert {name: theirs[name] for name in OPERATORS} == dict.fromkeys(OPERATORS)
    assert [each["report"] for each in theirs["retrains"]] == [{"rule": "none", "outcomes": 14}]
    assert (ours["features"]["tasks"], theirs["features"]["tasks"]) == ([], None)
    assert [each["answers_as"]["answers"] for each in (ours["arms"][0], theirs["arms"][0])] == [
        14, None,
    ]  # fmt: skip
    assert "14 answers came from other" in operator.get("/").text
    assert "answers as another model" not in reader.get("/").text


def test_an_arm_that_is_left_alone_is_told_to_everybody(
    service: Running, reader: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, [arm, *_] = service.parts.router.health, service.parts.catalogue().arms.values()
    alone = replace(health.standing(arm), state="open")
    monkeypatch.setattr(health, "standing", lambda _arm: alone)
    assert f"{arm.name} is left alone" in reader.get("/").text


def test_nothing_that_a_reader_may_open_names_another_tenant(
    service: Running, reader: Keyed
) -> None:
    app, [theirs, *_] = service.client.application, service.parts.log.recent(1)
    assert theirs.tenant == "rival"
    opened = set()
    for rule in app.url_map.iter_rules():
        if scope_of(app.view_functions[rule.endpoint]) != "read":
            continue
        path = rule.rule.replace("<decision_id>", theirs.id)
        answer = reader.get(f"{path}?pay=1" if path == "/pages/policy/at" else path)
        assert answer.status_code == (404 if "<" in rule.rule else 200), path
        assert "rival" not in answer.text, path
        assert "merger" not in answer.text, path
        opened.add(rule.endpoint)
    assert len(opened) == 11
