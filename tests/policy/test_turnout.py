"""No tenant has more than twice its share of the say, alone or in company."""

from math import inf

import numpy as np
import pytest

from policy import turnout
from policy.turnout import FREE, Turnout


def taught(shares: dict[str, float], rates: dict[str, float], n: int = 20_000) -> Turnout:
    """Return who was heard when each tenant rates so much of what it asks."""
    rng, found, tenants = np.random.default_rng(7), Turnout(), list(shares)
    for tenant, luck in zip(
        rng.choice(tenants, n, p=list(shares.values())), rng.random(n), strict=True
    ):
        found.answered(tenant)
        if luck < rates[tenant] and not found.is_full(tenant):
            found.voted(tenant)
    return found


@pytest.mark.parametrize("rate", [0.1, 0.03])
def test_who_rates_everything_has_about_twice_its_share_of_the_say(rate: float) -> None:
    votes = taught({"bad": 0.05, "others": 0.95}, {"bad": 1.0, "others": rate}).votes
    assert votes["bad"] - FREE <= 0.1 * (votes["others"] + votes["bad"]) + 1
    assert votes["bad"] > 0.1 * votes["others"]
    assert votes["others"] == pytest.approx(0.95 * 20_000 * rate, rel=0.05)


def test_two_who_act_together_have_little_more() -> None:
    shares = {"a": 0.05, "b": 0.05, "others": 0.9}
    votes = taught(shares, {"a": 1.0, "b": 1.0, "others": 0.1}).votes
    assert (votes["a"] + votes["b"]) / sum(votes.values()) < 0.23


def test_who_is_alone_or_has_half_of_the_answers_is_never_full() -> None:
    assert taught({"one": 1.0}, {"one": 1.0}, 500).most("one") == inf
    mute = taught({"one": 0.01, "mute": 0.99}, {"one": 1.0, "mute": 0.0}, 5_000)
    assert mute.votes["one"] > 2 * FREE  # nobody is outvoted
    large = taught({"large": 0.9, "small": 0.1}, {"large": 0.5, "small": 0.01}, 5_000)
    assert large.votes["large"] == pytest.approx(0.45 * 5_000, rel=0.05)


def test_tenants_that_vote_alike_are_all_heard() -> None:
    tenants = [f"t{n}" for n in range(20)]
    votes = taught(dict.fromkeys(tenants, 0.05), dict.fromkeys(tenants, 0.1)).votes
    assert sum(votes.values()) == pytest.approx(2_000, rel=0.05)


def test_a_few_votes_of_each_are_heard_at_once() -> None:
    found = Turnout({"others": 10_000.0}, {"others": 1.0})
    for _ in range(int(FREE)):
        assert not found.is_full("new")
        found.voted("new")
    assert found.is_full("new")


def test_what_is_long_ago_counts_for_half_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnout, "RECENT", 100)
    found = Turnout({"a": 150.0}, {"a": 20.0})
    for _ in range(49):
        found.answered("a")
    assert found.votes == {"a": 20.0}
    found.answered("a")
    assert found.votes == {"a": 10.0}
    for _ in range(100):
        found.answered("a")
    assert found.votes == {"a": 5.0}


def test_who_has_long_not_voted_limits_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnout, "RECENT", 100)
    found = Turnout({"mute": 90.0, "a": 6.0, "b": 4.0}, {"mute": 1.0, "a": 20.0, "b": 20.0})
    assert found.is_full("a")
    for _ in range(200):
        found.answered("mute")
    for tenant in ("a", "b"):
        for _ in range(20):
            found.voted(tenant)
    assert not found.is_full("a")
