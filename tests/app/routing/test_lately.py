"""What the recent prompts say of the arms is what the belief says of each of them."""

from itertools import pairwise

import numpy as np
import pytest

from app.routing.lately import Lately
from policy.belief import Belief
from tests.app.running import Running
from tests.policy.worlds import PRIOR, World, contexts


@pytest.fixture(scope="module")
def rated(shared: Running) -> Running:
    for i in range(12):
        answer = shared.ask(f"What is {i} + {i}?", task="maths" if i % 2 else "sums")
        shared.rate(answer["id"], "up" if i % 3 else "down")
    return shared


def lately(service: Running) -> Lately:
    recent = service.parts.log.recent(200)
    return Lately.of(service.learned, list(service.parts.catalogue().arms), recent)


def test_a_belief_is_the_mean_over_the_prompts(rated: Running) -> None:
    found, recent = lately(rated), rated.parts.log.recent(200)
    quality = rated.learned.beliefs.quality
    said = [quality.predict(rated.learned.context(each), ["gpt-4o"]) for each in recent]
    assert found.belief("gpt-4o").quality == pytest.approx(np.mean([each.mean[0] for each in said]))
    ours = found.belief_on("gpt-4o", "maths")
    theirs = [each.mean[0] for each, of in zip(said, recent, strict=True) if of.task == "maths"]
    assert ours is not None
    assert ours.quality == pytest.approx(np.mean(theirs))
    assert found.belief_on("gpt-4o", "never asked") is None


def test_always_one_arm_costs_and_brings_what_was_predicted_of_it(rated: Running) -> None:
    recent, learned = rated.parts.log.recent(200), rated.learned
    costs = [each.cost_usd_predicted[each.eligible.index("gpt-4o")] for each in recent]
    contexts = [learned.context(each) for each in recent]
    good = [learned.beliefs.quality.predict(each, ["gpt-4o"]).mean[0] for each in contexts]
    found = lately(rated).always("gpt-4o")
    assert found == pytest.approx((np.mean(costs), np.mean(np.clip(good, 0.0, 1.0))))


def test_more_money_buys_no_less_and_the_shares_add_up(rated: Running) -> None:
    points = lately(rated).frontier([10.0**i for i in range(-6, 3)])
    for poorer, richer in pairwise(points):
        assert richer.cost_usd >= poorer.cost_usd - 1e-12
        assert richer.quality >= poorer.quality - 1e-12
    assert all(sum(point.shares) == pytest.approx(1.0) for point in points)


def test_before_any_prompt_there_is_a_belief_and_no_price(service: Running) -> None:
    found = lately(service)
    assert 0 < found.belief("gpt-4o").quality < 1
    assert found.at(0.01) is None
    assert found.frontier([0.01]) == []
    assert found.always("gpt-4o") is None


def test_only_an_arm_that_can_be_asked_now_is_on_the_curve(rated: Running) -> None:
    recent, arms = rated.parts.log.recent(200), ["gpt-4o", "glm-4-plus", "new"]
    found = Lately.of(rated.learned, arms, recent, ["glm-4-plus", "new"])
    point = found.at(1e6)
    assert point is not None
    assert (found.arms, point.shares) == (tuple(arms), (0.0, 1.0, 0.0))
    assert (point.cost_usd, point.quality) == pytest.approx(found.always("glm-4-plus"))
    assert found.always("gpt-4o") is None
    assert found.prompts == len(recent)
    none = Lately.of(rated.learned, arms, recent, ["new"])
    assert (none.prompts, none.frontier([1.0])) == (0, [])


def test_an_arm_that_may_win_no_prompt_yet_is_not_on_the_curve() -> None:
    k = 20
    believed, arms = Belief(PRIOR), tuple(f"arm{i}" for i in range(k))
    quality, cost = np.full((3, k), 0.5), np.full((3, k), 0.001)
    quality[:, -1], cost[:, -1] = 0.9, 0.1
    weight = np.repeat([1.0, 0.0], [k - 1, 1])
    prompts = (believed, arms, (None,) * 3, np.ones((3, 4)), quality, cost)
    found = Lately(*prompts, weight).at(1e6)
    assert found is not None
    assert (found.cost_usd, found.shares[-1]) == (pytest.approx(0.001), 0.0)
    known = Lately(*prompts, np.ones(k)).at(1e6)
    assert known is not None
    assert known.shares[-1] == 1.0


def test_the_interval_of_a_belief_is_that_of_the_mean_over_the_prompts() -> None:
    rng, arms, off = np.random.default_rng(0), tuple("abc"), []
    for _ in range(100):
        world, belief = World.drawn(PRIOR, len(arms), rng), Belief(PRIOR)
        for x in contexts(rng, 60):
            arm = int(rng.integers(len(arms)))
            belief = belief.update(arms[arm], x, world.reward(arm, x, rng))
        prompts = contexts(rng, 200)
        cost, quality = np.ones((200, 3)), (prompts @ world.weights.T)
        found = Lately(belief, arms, (None,) * 200, prompts, quality, cost, np.ones(3))
        for arm, true in zip(arms, quality.mean(axis=0), strict=True):
            off.append((found.belief(arm).quality - true) / found.belief(arm).quality_sd)
    assert np.mean(np.abs(off) < 1.96) == pytest.approx(0.95, abs=0.03)
