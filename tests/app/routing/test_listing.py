"""A version for another catalogue knows the whole log before it serves; nobody waits for it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from app.routing import listing
from app.routing.listing import Listing, relisted
from features.fit import fit
from features.sketch import Sketch
from jobs.learned import Learned
from policy.hyper import Hyper
from policy.types import Arm
from storage.events import Event
from storage.snapshots import digest, of_state
from tests.app.routing.test_live import folded, learn
from tests.app.running import Running
from tests.jobs.test_learned import HYPER, SPACE, TEXTS, learned, rated, sketch

LISTED = replace(HYPER, listed={"new": 30.0})
EVENTS = [rated(n + 1, TEXTS[n % 4], n % 2) for n in range(12)]


def under(hyper: Hyper) -> Learned:
    return Learned.under(2, SPACE, hyper)


def test_what_is_known_goes_over_as_the_log_would_give_it() -> None:
    found = relisted(learned(*EVENTS), under(LISTED))
    assert found is not None
    assert (found.policy_version, found.upto_seq, found.hyper) == (2, 12, LISTED)
    later = rated(14, TEXTS[1], 1.0, arm="new")
    whole = under(LISTED).fold([*EVENTS, later])
    assert digest(found.fold([later]).to_arrays()) == digest(whole.to_arrays())
    context, arms = SPACE.encoded(sketch(TEXTS[0])), (EVENTS[0].arm, "new", "unlisted")
    said = found.fold([later]).beliefs.quality.predict(context, arms)
    np.testing.assert_array_equal(said.mean, whole.beliefs.quality.predict(context, arms).mean)


def test_it_is_folded_where_an_arm_of_those_listed_is_known() -> None:
    listed = replace(HYPER, listed={EVENTS[0].arm: 30.0})
    assert relisted(learned(*EVENTS), under(listed)) is None


def test_it_is_folded_where_a_version_was_adopted_between() -> None:
    later = Learned.under(3, SPACE, LISTED)  # in between somebody may have been forgotten
    assert relisted(learned(*EVENTS), later) is None


def test_it_is_folded_where_more_than_list_prices_differs() -> None:
    assert relisted(learned(*EVENTS), under(replace(LISTED, hints={"new": 0.9}))) is None
    texts = [f"{text} {n}" for n in range(6) for text in TEXTS]
    other = fit([Sketch.from_bytes(sketch(text)) for text in texts], 2)
    assert relisted(learned(*EVENTS), Learned.under(2, other, LISTED)) is None


@pytest.fixture
def arms(service: Running, monkeypatch: pytest.MonkeyPatch) -> list[Arm]:
    """The arms of a service that has learned, one of them with a hint it had not before."""
    monkeypatch.setattr(listing, "PIECE", 5)
    learn(service)
    first, *others = service.parts.catalogue().arms.values()
    return [replace(first, quality=0.95), *others]


def another(service: Running) -> Listing:
    """What another process of the same service would do."""
    return Listing(service.parts.log, lambda: service.learned)


def from_saved(service: Running) -> str:
    """Return the digest of what a process knows that takes the version from the log."""
    log, policy = service.parts.log, service.parts.log.latest_policy()
    assert policy is not None
    state = log.saved_state(policy.version)
    assert state is not None
    kept = Learned.start(policy).restored(of_state(state).arrays, state.upto_seq)
    assert kept is not None
    return digest(kept.fold(log.events(kept.upto_seq)).to_arrays())


def test_a_version_with_another_hint_serves_once_it_knows_the_whole_log(
    service: Running, arms: list[Arm], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, follower = service.parts.log, another(service)
    long, read, events = service.learned.upto_seq, list[tuple[int, int]](), log.events

    def reading(after_seq: int = 0, upto_seq: int | None = None) -> Iterator[Event]:
        if upto_seq is not None:
            read.append((after_seq, upto_seq))
        return events(after_seq, upto_seq)

    monkeypatch.setattr(log, "events", reading)
    for _ in range((long - 1) // 5):
        follower.follow(arms, 0.0)
        assert service.ask()["policy_version"] == 1
    while service.get("/healthz")["policy_version"] == 1:
        follower.follow(arms, 0.0)
    assert [each for each in read if each[0] < long] == []  # who adopts it reads the end alone
    assert service.learned.hyper.hints == {arms[0].name: 0.95}
    assert service.digest == folded(service)
    assert from_saved(service) == service.digest


def test_a_version_begins_anew_when_another_is_adopted_meanwhile(
    service: Running, arms: list[Arm]
) -> None:
    log, follower = service.parts.log, another(service)
    follower.follow(arms, 0.0)
    policy = log.latest_policy()
    assert policy is not None
    log.adopt(replace(policy, version=2, hyper={**policy.hyper, "floor": 0.05})).wait()
    while service.learned.policy_version < 3:
        follower.follow(arms, 0.0)
    assert (service.learned.hyper.floor, len(service.learned.hyper.hints)) == (0.05, 1)
    assert service.digest == folded(service) == from_saved(service)


def test_a_catalogue_that_goes_back_at_once_is_followed_back(
    service: Running, arms: list[Arm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PIECE", 1_000)
    follower, before = another(service), list(service.parts.catalogue().arms.values())
    follower.follow(before, 0.0)
    for version, listed in ((2, arms), (3, before)):
        follower.follow(listed, 0.0)
        assert service.learned.policy_version == version
    assert service.learned.hyper.hints == {}


def test_of_two_processes_that_follow_the_same_catalogue_one_makes_the_version(
    service: Running, arms: list[Arm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PIECE", 1_000)
    log, policy = service.parts.log, service.parts.log.latest_policy()
    ours, theirs = another(service), another(service)
    with monkeypatch.context() as patched:  # both look before either has adopted
        patched.setattr(log, "latest_policy", lambda: policy)
        ours.follow(arms, 0.0)
        theirs.follow(arms, 0.0)
    for _ in range(3):
        ours.follow(arms, 0.0)
        theirs.follow(arms, 0.0)
    assert service.learned.policy_version == 2
    assert service.digest == folded(service)
