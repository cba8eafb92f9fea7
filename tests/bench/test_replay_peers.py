"""A peer in an environment of its own is told what the router is told, and learns from it."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.course import order
from bench.options import NO_BUDGET_USD, Options
from bench.peers.environment import python
from bench.peers.player import LIBRARY, PREFIX, shuffled, started
from bench.peers.worker import ADAPTERS, Beginning, PeerWorker
from bench.replay import play
from bench.tables import Table
from tests.bench.worlds import easy

WORLD = easy(400)
OPTIONS = Options(policy=PREFIX + "vowpalwabbit")


def told(
    monkeypatch: pytest.MonkeyPatch, table: Table, options: Options, arm: str
) -> list[dict[str, Any]]:
    """Return all that a peer is told which takes the same arm always."""
    heard = StringIO()
    answer = json.dumps({"arm": arm, "decide_s": 0.0, "update_s": 0.0})
    worker = SimpleNamespace(stdin=heard, stdout=SimpleNamespace(readline=lambda: answer))
    monkeypatch.setattr("bench.peers.player.started", lambda _name: worker)
    play(table, table.sketches("text"), options, 1)
    return list(map(json.loads, heard.getvalue().splitlines()))


@pytest.mark.slow
def test_a_peer_is_installed_once_and_learns_an_easy_world() -> None:
    interpreter = python("vowpalwabbit")
    made_at = interpreter.lstat().st_mtime_ns
    played = play(WORLD, WORLD.sketches("text"), OPTIONS, 1)
    assert python("vowpalwabbit").lstat().st_mtime_ns == made_at
    assert played.reward[300:].mean() > 0.8
    np.testing.assert_array_equal(played.reward, WORLD.scores[played.rows, played.arms])
    assert (played.decide_s > 0).all()
    assert played.update_s[1:].min() > 0


@pytest.mark.slow
def test_a_worker_forgets_one_replay_before_the_next() -> None:
    table = easy(80)
    sketches = table.sketches("text")
    first, other, again = (play(table, sketches, OPTIONS, seed) for seed in (1, 2, 1))
    np.testing.assert_array_equal(first.arms, again.arms)
    assert first.rows.tolist() != other.rows.tolist()


@pytest.mark.slow
def test_a_peer_is_offered_a_new_arm_only_when_it_is_there() -> None:
    options = replace(OPTIONS, scenario="new_arm", feedback=0.5, delay=7)
    played = play(WORLD, WORLD.sketches("text"), options, 1)
    best = int(WORLD.scores.mean(axis=0).argmax())
    assert (played.arms[:200] != best).all()
    assert (played.arms[200:] == best).any()


@pytest.mark.parametrize("warm", [0, 40])
def test_a_peer_hears_of_an_arm_when_it_is_offered_and_then_of_its_evals(
    monkeypatch: pytest.MonkeyPatch, warm: int
) -> None:
    table = easy(120)
    new = table.names[int(table.scores.mean(axis=0).argmax())]
    options = replace(OPTIONS, scenario="new_arm_evals", warm=warm)
    begun, *heard = told(monkeypatch, table, options, "cheap")
    assert new not in begun["begin"]["arms"]
    of_it = [each for each in heard if new in each.get("offer", [each.get("evaluated")])]
    assert ["offer" in each for each in of_it[:2]] == [True, False]
    assert sum("offer" in each for each in of_it) == 1


@pytest.mark.parametrize("willing_usd", [0.01, NO_BUDGET_USD])
def test_an_eval_is_worth_to_a_peer_its_score_less_its_price_as_an_answer_is(
    monkeypatch: pytest.MonkeyPatch, willing_usd: float
) -> None:
    table = easy(60)
    options = replace(OPTIONS, warm=20, willingness_to_pay_usd=willing_usd)
    heard = told(monkeypatch, table, options, "coder")
    warm, _, judged = order(table, options, 1)
    price = table.cost_usd / willing_usd * (willing_usd < NO_BUDGET_USD)
    worth = [each["reward"] for each in heard if "evaluated" in each]
    np.testing.assert_allclose(worth, (table.scores - price)[warm].ravel())
    rated = [each["reward"] for each in heard if "rated" in each]
    np.testing.assert_allclose(rated, (table.scores - price)[judged, 0])


def test_no_arm_is_the_first_for_every_seed() -> None:
    arms = easy(40).arms
    orders = [shuffled(arms, seed) for seed in range(60)]
    assert all(sorted(map(repr, order)) == sorted(map(repr, arms)) for order in orders)
    first = [order[0].name for order in orders]
    assert min(first.count(arm.name) for arm in arms) > 60 / len(arms) / 3
    assert shuffled(arms, 7) == orders[7]


class Remembering:
    """A peer that takes arms in turn and keeps what it is told."""

    def __init__(self, beginning: Beginning) -> None:
        self.arms = list(beginning.arms)
        self.told: list[object] = []

    def offer(self, arms: dict[str, float]) -> None:
        self.arms = list(arms)

    def choose(self, context: list[float]) -> tuple[str, float]:
        self.arms.append(self.arms.pop(0))
        return self.arms[-1], 0.25

    def learn(self, *told: object) -> None:
        self.told.append(told)

    def pay(self, usd: float) -> None:
        self.told.append(usd)


def test_a_worker_tells_its_peer_of_a_round_what_was_chosen_in_it(tmp_path: Path) -> None:
    made: list[Remembering] = []

    def make(beginning: Beginning) -> Remembering:
        made.append(Remembering(beginning))
        return made[-1]

    with (tmp_path / "answers").open("w") as answers:
        worker = PeerWorker(make, answers)
        for message in (
            {"begin": {"arms": {"a": 0.1, "b": 0.2}, "d": 1, "seed": 0, "budget_usd": None}},
            {"choose": 0, "context": [0.5]},
            {"choose": 1, "context": [0.7]},
            {"paid": 1, "usd": 0.2},
            {"rated": 0, "reward": 1.0},
            {"rated": 1, "reward": None},
            {"evaluated": "b", "context": [0.9], "reward": 0.25},
        ):
            worker.hear(message)
    assert [line.split('"')[3] for line in (tmp_path / "answers").read_text().splitlines()] == [
        "a",
        "b",
    ]
    assert made[0].told == [0.2, ("a", [0.5], 1.0, 0.25), ("b", [0.9], 0.25, 1.0)]


def test_every_peer_has_a_hashed_lock_and_an_adapter() -> None:
    folder = Path(__file__).parents[2] / "bench" / "peers"
    for name, adapter in ADAPTERS.items():
        lock = (folder / f"requirements-{LIBRARY[name]}.txt").read_text()
        pins = [line for line in lock.splitlines() if "==" in line]
        assert pins
        assert lock.count("--hash=sha256:") >= len(pins)
        assert (folder / f"{adapter.partition(':')[0]}.py").exists()


def test_a_peer_that_is_not_known_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="peer 'x' is not known; it is one of mabwiser-lints"):
        started("x")


@pytest.mark.slow
def test_a_peer_feels_a_price_also_of_an_answer_that_satisfied_nobody() -> None:
    table = replace(WORLD, scores=np.zeros_like(WORLD.scores))
    options = Options(policy=PREFIX + "paretobandit", willingness_to_pay_usd=0.01)
    played = play(table, table.sketches("text"), options, 1)
    assert (played.arms[200:] == table.names.index("cheap")).mean() > 0.8


@pytest.mark.slow
def test_an_arm_that_paretobandit_has_a_price_for_may_be_free() -> None:
    shipped = replace(WORLD.arms[2], name="meta-llama/llama-3.1-8b-instruct")
    free = WORLD.cost_usd * (1.0, 1.0, 0.0)
    table = replace(WORLD, arms=(*WORLD.arms[:2], shipped), cost_usd=free).sample(60, 0)
    options = Options(policy=PREFIX + "paretobandit", scenario="price_cut", concerned=shipped.name)
    played = play(table, table.sketches("text"), options, 1)
    assert (played.arms == 2).any()
