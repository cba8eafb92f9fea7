"""Thumbs that were given in bad faith are withdrawn, and what they taught is unlearned."""

import time
from dataclasses import replace
from errno import ENOSPC
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from app.commands.delivery import delivered
from jobs.intake import of_distrusted, of_withdrawn_votes
from jobs.learned import Learned
from jobs.refold import folding, refolded
from storage.events import FeedbackEvent
from storage.handover import hand_over
from storage.records import Voters
from storage.snapshots import digest
from storage.votes import Cast, cast, withdrawals
from tests.app.commands.test_cli import turnpike
from tests.app.commands.test_forgetting import told
from tests.app.commands.test_keys import made
from tests.app.routing.test_live import Damage, delete, folded, keep
from tests.app.running import BESIDE, Provider, Running, eventually, running


def distrust(folder: Path, *arguments: str) -> Result:
    return turnpike(folder, "distrust", *arguments)


def learned(service: Running) -> dict[str, Any]:
    """Return what thumbs have taught."""
    told = service.learned.to_arrays()
    return {name: told[name] for name in told if name.startswith("rated/")}


def is_about(these: dict[str, Any], those: dict[str, Any]) -> bool:
    return all(each == pytest.approx(those[name], abs=1e-9) for name, each in these.items())


def test_beside_a_service_it_is_as_if_they_had_said_nothing(service: Running) -> None:
    folder = service.parts.settings.folder
    ours = [service.ask()["id"] for _ in range(4)]
    for each in ours:
        service.rate(each, "up", rater="ann")
    before = learned(service)
    for each in ours:
        service.rate(each, "down", rater="mallory", comment="bad")
    assert not is_about(learned(service), before)
    said = distrust(folder, "--rater", "mallory", "--yes")
    assert "withdrawn: 4 thumbs of rater 'mallory', 0.00 on average; policy 2" in said.stdout
    assert is_about(learned(service), before)
    assert eventually(lambda: service.learned.policy_version == 2)
    assert is_about(learned(service), before)
    assert [service.get(f"/decisions/{each}")["reward"] for each in ours] == [1.0] * 4
    again = distrust(folder, "--rater", "mallory", "--yes")
    assert again.stdout.endswith("no thumbs of rater 'mallory' count\n")
    assert told(distrust(folder, "--tenant", "default", "--yes", "--json")) == {
        "votes": 4,
        "mean": 1.0,
        "policy_version": 3,
    }
    assert [service.get(f"/decisions/{each}")["reward"] for each in ours] == [None] * 4


def changed_by(service: Running, rater: str) -> str:
    """Have an arm found changed by somebody, and return which; the last answer others like."""
    arm = str(service.get("/policy")["arms"][0]["arm"])
    answers = [service.ask(models=[arm])["id"] for _ in range(48)]
    for n, answer in enumerate(answers):
        service.rate(answer, "up" if n < 40 else "down", rater="ann" if n < 40 else rater)
    service.rate(answers[-1], "up", rater="ann")
    assert len(service.learned.changed_at_s(arm)) == 1
    return arm


def without(service: Running, rater: str) -> str:
    """Return the digest of what would be learned had somebody never rated: others are the first."""
    log = service.parts.log
    policy = log.latest_policy()
    assert policy is not None
    left = (
        replace(each, is_first=True) if isinstance(each, FeedbackEvent) else each
        for each in log.events()
        if not isinstance(each, FeedbackEvent) or each.rater != rater
    )
    return digest(Learned.start(policy).fold(left).to_arrays())


@pytest.mark.parametrize("damage", [keep, delete])
def test_an_arm_that_was_found_changed_by_them_is_as_it_was_and_stays_so(
    tmp_path: Path, provider: Provider, damage: Damage
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        arm = changed_by(service, "mallory")
        said = distrust(tmp_path, "--rater", "mallory", "--yes").stdout
        assert said.endswith(
            "withdrawn: 8 thumbs of rater 'mallory', 0.00 on average; policy 2 serves\n"
        )
        assert eventually(lambda: service.learned.policy_version == 2)
        assert service.learned.changed_at_s(arm) == []
        assert service.digest == folded(service) == without(service, "mallory")
        belief = service.get("/policy")["arms"][0]["belief"]
        assert belief["effective_n"] == pytest.approx(41)
    damage(tmp_path / BESIDE / "snapshots")
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert service.digest == folded(service) == without(service, "mallory")


def test_an_arm_that_others_found_changed_stays_so(service: Running) -> None:
    arm = changed_by(service, "ben")
    before = service.learned.changed_at_s(arm)
    for _ in range(3):
        service.rate(service.ask(models=[arm])["id"], "down", rater="mallory")
    distrust(service.parts.settings.folder, "--rater", "mallory", "--yes")
    assert eventually(lambda: service.learned.policy_version == 2)
    assert service.learned.changed_at_s(arm) == before
    assert service.digest == folded(service)


def test_what_they_have_taken_back_themselves_goes_too(service: Running) -> None:
    arm = changed_by(service, "mallory")
    for event in [*service.parts.log.events()]:
        if isinstance(event, FeedbackEvent) and event.rater == "mallory":
            service.rate(event.decision_id, "neutral", rater="mallory")
    assert len(service.learned.changed_at_s(arm)) == 1
    said = distrust(service.parts.settings.folder, "--rater", "mallory", "--yes").stdout
    assert ": 0 thumbs of rater 'mallory', 0.00 on average, and 8 that were taken back;" in said
    assert eventually(lambda: service.learned.changed_at_s(arm) == [])
    assert service.digest == without(service, "mallory")


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (1, "withdrawn: 0 thumbs of rater 'mallory', 0.00 on average, and 8 that were taken back"),
        (2, "no thumbs of rater 'mallory' count"),
    ],
)
def test_what_was_killed_half_way_is_gone_on_with(service: Running, done: int, said: str) -> None:
    arm, log, whose = changed_by(service, "mallory"), service.parts.log, Voters(rater="mallory")
    [votes] = withdrawals(log.ask, whose, time.time(), 100)
    for parcel in (of_withdrawn_votes(votes), of_distrusted(whose))[:done]:
        delivered(service.parts.settings, parcel)
    assert len(service.learned.changed_at_s(arm)) == 1
    one, *_ = arms = service.parts.catalogue().arms.values()
    service.parts.live.follow([*arms, replace(one, name="new")], time.time())
    assert service.learned.policy_version == 2  # goes on from what the change had left
    assert len(service.learned.changed_at_s(arm)) == 1
    again = distrust(service.parts.settings.folder, "--rater", "mallory", "--yes")
    assert again.stdout.endswith(f"{said}; policy 3 serves\n")
    assert eventually(lambda: service.learned.changed_at_s(arm) == [])
    assert service.digest == without(service, "mallory")
    again = distrust(service.parts.settings.folder, "--rater", "mallory", "--yes")
    assert again.stdout.endswith("no thumbs of rater 'mallory' count\n")


def test_of_a_log_that_is_else_added_up_too(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = changed_by(service, "mallory")
    monkeypatch.setattr("app.commands.training.folding", partial(folding, large=0))
    monkeypatch.setattr("jobs.refold.refolded", partial(refolded, tail=0))
    service.parts.live.snapshot()
    distrust(service.parts.settings.folder, "--rater", "mallory", "--yes")
    assert eventually(lambda: service.learned.changed_at_s(arm) == [])
    assert turnpike(service.parts.settings.folder, "rollback", "2").exit_code == 0
    assert eventually(lambda: service.learned.policy_version == 3)
    assert service.learned.changed_at_s(arm) == []


def test_where_it_is_broken_off_it_says_how_many_are_withdrawn(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, handed = service.parts.settings.folder, []

    def handing_over(*parcel: Any) -> str:
        handed.append(parcel)
        if len(handed) == 2:
            raise OSError(ENOSPC, "No space left on device")
        return hand_over(*parcel)

    for _ in range(5):
        service.rate(service.ask()["id"], "up")
    monkeypatch.setattr("app.commands.distrusting.PIECE", 2)
    monkeypatch.setattr("app.commands.delivery.AHEAD", 0)
    monkeypatch.setattr("app.commands.delivery.hand_over", handing_over)
    ended = distrust(folder, "--tenant", "default", "--yes")
    assert (ended.exit_code, "; 2 of 5 thumbs are withdrawn; say it" in ended.stderr) == (78, True)
    assert cast(service.parts.log.ask, Voters()).votes == 3
    assert told(distrust(folder, "--tenant", "default", "--yes", "--json"))["votes"] == 3


def test_without_a_service_by_a_key_that_is_revoked(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        for name in ("shop", "bots"):
            key = made(tmp_path, name)["key"]
            headers = {"Authorization": f"Bearer {key}"}
            service.parts.keyring.follow()
            asked = service.client.post("/complete", json={"prompt": "hi"}, headers=headers)
            vote = {"id": asked.json["id"], "thumbs": "up"}  # type: ignore[index]
            assert service.client.post("/feedback", json=vote, headers=headers).status_code == 200
    assert turnpike(tmp_path, "keys", "revoke", "bots").exit_code == 0
    unsure = turnpike(tmp_path, "distrust", "--key", "bots")
    assert (unsure.exit_code, "Withdraw 1 thumb of key 'bots', 1.00" in unsure.stderr) == (1, True)
    unsure = turnpike(tmp_path, "distrust", "--since", "1h")
    assert "Withdraw 2 thumbs since 1h, 1.00 on average, for good?" in unsure.stderr
    assert told(distrust(tmp_path, "--key", "bots", "--since", "1h", "--yes", "--json")) == {
        "votes": 1,
        "mean": 1.0,
        "policy_version": 2,
    }
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert cast(service.parts.log.ask, Voters()) == Cast(votes=1, mean=1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --tenant, --key, --rater or --since: whose thumbs to withdraw"),
        (("--key", "nobody"), "'nobody' is no key; the keys: "),
        (("--since", "soon"), "since is 'soon': it must be a span such as 36h"),
    ],
)
def test_what_names_nobody_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    made(tmp_path, "shop")
    ended = distrust(tmp_path, *arguments)
    assert (ended.exit_code, said in ended.stderr) == (2, True)


def test_a_name_that_several_keys_had_wants_an_id(tmp_path: Path) -> None:
    first = made(tmp_path, "shop")["id"]
    assert turnpike(tmp_path, "keys", "revoke", "shop").exit_code == 0
    second = made(tmp_path, "shop")["id"]
    ended = distrust(tmp_path, "--key", "shop")
    assert (ended.exit_code, "was the name of several keys: give an id" in ended.stderr) == (
        2,
        True,
    )
    assert (first in ended.stderr, second in ended.stderr) == (True, True)
    assert distrust(tmp_path, "--key", first).exit_code == 0
