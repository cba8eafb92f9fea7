"""Outages under load: while one arm lives nobody sees an error, and what that costs is bounded."""

import itertools
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app.faulty import Faulty, broken, busy, empty, faulty, good, hanging_up
from tests.upstream.misbehaving import Conversation, Scenario

CHEAP = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}
DEAR = {"input_usd_per_mtok": 9000.0, "output_usd_per_mtok": 9000.0}
CALLERS = 8
MOST_CALLS = 1.25


def flapping() -> Scenario:
    turns = itertools.count()

    def flap(talk: Conversation) -> None:
        good(talk) if next(turns) % 2 else broken(talk)

    return flap


def ask_many(made: Faulty, requests: int) -> Counter[int]:
    """Return how many requests, sent by several callers at once, were answered with each status."""
    app = made.service.client.application
    body = {"prompt": "hi", "explore": False}
    with ThreadPoolExecutor(CALLERS) as callers:
        jobs = [
            callers.submit(lambda: app.test_client().post("/complete", json=body).status_code)
            for _ in range(requests)
        ]
    return Counter(job.result() for job in jobs)


def assert_nothing_is_left_behind(made: Faulty) -> None:
    """Every decision has its end and its attempt, and no call is under way."""
    rounds = made.decisions
    assert all(each.outcome is not None for each in rounds)
    assert len(made.attempts()) == len(rounds) == len(made.asked)
    assert [arm["health"]["under_way"] for arm in made.service.get("/policy")["arms"]] == [0] * len(
        made.service.parts.catalogue().arms
    )


ONE_LIVES: Mapping[str, Mapping[str, Scenario]] = {
    "C19 two of three broken": {"a": broken, "b": broken, "living": good},
    "four of five, each in its way": {
        "a": broken, "b": hanging_up, "c": empty, "d": busy, "living": good,
    },
    "C20 one of two flapping": {"a": flapping(), "living": good},
    "four of five flapping": {**{name: flapping() for name in "abcd"}, "living": good},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("scenarios", ONE_LIVES.values(), ids=ONE_LIVES.keys())
def test_while_one_arm_lives_nobody_sees_an_error(
    tmp_path: Path, scenarios: Mapping[str, Scenario]
) -> None:
    with faulty(tmp_path, scenarios, {"a": CHEAP, "living": DEAR}) as made:
        assert ask_many(made, 100) == {200: 100}
        before = len(made.asked)
        assert ask_many(made, 300) == {200: 300}
        assert (len(made.asked) - before) / 300 <= MOST_CALLS
        assert_nothing_is_left_behind(made)


@pytest.mark.slow
def test_a_cold_start_into_an_outage_is_no_error_either(tmp_path: Path) -> None:
    scenarios = {**dict.fromkeys("abcd", broken), "living": good}
    with faulty(tmp_path, scenarios, {"living": DEAR}) as made:
        assert ask_many(made, CALLERS) == {200: CALLERS}
        assert_nothing_is_left_behind(made)


@pytest.mark.slow
def test_the_last_arm_dies_and_comes_back(tmp_path: Path) -> None:
    up, now_s = threading.Event(), [0.0]
    up.set()

    def play(talk: Conversation) -> None:
        good(talk) if up.is_set() else broken(talk)

    scenarios = {"dead": broken, "last": play}
    with faulty(tmp_path, scenarios, {"dead": CHEAP}, clock=lambda: now_s[0]) as made:
        assert ask_many(made, 40) == {200: 40}
        up.clear()
        assert set(ask_many(made, 40)) == {502}
        up.set()
        while ask_many(made, 1) != {200: 1}:
            now_s[0] += 1.0
            assert now_s[0] <= 30
        assert ask_many(made, 100) == {200: 100}
        assert_nothing_is_left_behind(made)
