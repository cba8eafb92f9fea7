"""The posterior is the closed-form regression: in any order, after retraction, and for long."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_t
from sklearn.linear_model import Ridge

from policy.belief import Belief
from policy.hyper import Hyper
from policy.offer import Offer, choose
from policy.prior import Prior, Scales
from policy.thompson import Thompson
from policy.types import Floats
from tests.policy.worlds import GROUPS, PRIOR, Dense, Rows, World, contexts, learned, rows

ARMS = ("a", "b", "c")


def assert_close(one: Floats | list[float], other: Floats | list[float]) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def assert_same(belief: Belief, dense: Dense, x: Floats) -> None:
    said = belief.predict(x, dense.arms)
    mean, covariance = dense.predict(x)
    assert_close(said.mean, mean)
    assert_close(said.covariance, covariance)
    assert_close(said.sd, np.sqrt(np.diag(covariance)))
    assert belief.noise == pytest.approx(dense.noise, rel=1e-8)


@pytest.mark.parametrize("n", [0, 1, 7, 400])
def test_the_posterior_of_all_arms_is_the_stacked_regression(n: int) -> None:
    rng = np.random.default_rng(n)
    outcomes = rows(rng, n)
    belief = learned(PRIOR, outcomes)
    for x in contexts(rng, 5):
        assert_same(belief, Dense.of(PRIOR, (*ARMS, "never tried"), outcomes), x)


def test_weights_of_outcomes_are_weights_of_the_regression() -> None:
    rng = np.random.default_rng(1)
    outcomes = [(arm, x, r, float(rng.uniform(0.1, 3))) for arm, x, r, _ in rows(rng, 100)]
    x = contexts(rng, 1)[0]
    assert_same(learned(PRIOR, outcomes), Dense.of(PRIOR, ARMS, outcomes), x)


def test_with_narrow_shared_scales_it_is_one_ridge_per_arm() -> None:
    rng = np.random.default_rng(2)
    apart = Prior(GROUPS, Scales(0.5, 0.5, 0.5, 0.5), Scales(*[1e-8] * 4), 0.0, 0.1)
    outcomes = rows(rng, 300)
    x = contexts(rng, 1)[0]
    ridges = []
    for arm in ARMS:
        mine = [(z, r) for name, z, r, _ in outcomes if name == arm]
        ridge = Ridge(alpha=4.0, fit_intercept=False)  # 1 / 0.5^2
        ridge.fit(np.array([z for z, _ in mine]), np.array([r for _, r in mine]))
        ridges.append(float(ridge.predict(x[None])[0]))
    assert_close(learned(apart, outcomes).predict(x, ARMS).mean, ridges)


def test_evals_above_the_ceiling_and_hints_are_weighted_outcomes() -> None:
    rng = np.random.default_rng(3)
    prior = replace(PRIOR, eval_ceiling=20.0, hints={"b": 0.9, "c": 0.4})
    rated, many, few = rows(rng, 30), rows(rng, 50, ["a"]), rows(rng, 10, ["b"])
    belief = learned(prior, rated)
    for arm, x, score, _ in many + few:
        belief = belief.learn_eval(arm, x, score)
    constant = np.array([0.0, 0.0, 0.0, 1.0])
    as_rows: Rows = [(arm, x, r, 20 / 50) for arm, x, r, _ in many] + rated + few
    as_rows += [("b", constant, 0.9, 3.0), ("c", constant, 0.4, 3.0)]
    assert_same(belief, Dense.of(prior, ARMS, as_rows), contexts(rng, 1)[0])
    assert belief.weight == pytest.approx(20 + 30 + 10 + 6)
    assert_same(belief.faded(0.0), Dense.of(prior, ARMS, as_rows[:50] + as_rows[80:]), constant)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_outcomes_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcomes = rows(rng, 200)
    shuffled = [outcomes[i] for i in rng.permutation(200)]
    one, other = learned(PRIOR, outcomes), learned(PRIOR, shuffled)
    for x in contexts(rng, 5):
        assert_close(one.predict(x, ARMS).mean, other.predict(x, ARMS).mean)
        assert_close(one.predict(x, ARMS).covariance, other.predict(x, ARMS).covariance)


def test_an_outcome_taken_back_was_never_seen() -> None:
    rng = np.random.default_rng(4)
    kept, withdrawn = rows(rng, 100), rows(rng, 100)
    belief = learned(PRIOR, kept + withdrawn)
    for i in rng.permutation(100):
        arm, x, reward, _ = withdrawn[i]
        belief = belief.update(arm, x, reward, -1.0)
    assert_same(belief, Dense.of(PRIOR, ARMS, kept), contexts(rng, 1)[0])


@pytest.mark.slow
def test_a_hundred_thousand_updates_do_not_drift() -> None:
    rng = np.random.default_rng(5)
    outcomes = rows(rng, 100_000)
    belief, dense = learned(PRIOR, outcomes), Dense.of(PRIOR, ARMS, outcomes)
    for x in contexts(rng, 5):
        mean, covariance = dense.predict(x)
        np.testing.assert_allclose(belief.predict(x, ARMS).mean, mean, rtol=1e-8)
        np.testing.assert_allclose(belief.predict(x, ARMS).covariance, covariance, rtol=1e-8)
    assert belief.noise == pytest.approx(dense.noise, rel=1e-8)


def test_asking_between_updates_changes_no_answer() -> None:
    rng = np.random.default_rng(6)
    outcomes = rows(rng, 60)
    x = contexts(rng, 1)[0]
    asked = Belief(PRIOR)
    for arm, z, reward, _ in outcomes:
        asked = asked.update(arm, z, reward)
        asked.predict(x, ARMS)
    silent = learned(PRIOR, outcomes)
    np.testing.assert_array_equal(asked.predict(x, ARMS).mean, silent.predict(x, ARMS).mean)
    np.testing.assert_array_equal(
        asked.predict(x, ARMS).covariance, silent.predict(x, ARMS).covariance
    )


def test_learning_leaves_the_old_belief_as_it_was() -> None:
    rng = np.random.default_rng(7)
    belief = learned(PRIOR, rows(rng, 20))
    x = contexts(rng, 1)[0]
    before = belief.predict(x, ARMS)
    belief.update("a", x, 1.0)
    belief.learn_eval("b", x, 0.0)
    belief.faded(0.5)
    np.testing.assert_array_equal(belief.predict(x, ARMS).mean, before.mean)
    np.testing.assert_array_equal(belief.predict(x, ARMS).covariance, before.covariance)


def test_an_arm_comes_late_where_those_before_it_are_known_and_nothing_is_known_of_it() -> None:
    rng = np.random.default_rng(9)
    told = rows(rng, 60, ["a", "b"])
    belief, [(_, x, reward, _), *_] = learned(PRIOR, told), rows(rng, 1)
    late = belief.update("new", x, reward)
    assert late.late == {"new": 60.0}
    assert learned(PRIOR, told[:40]).update("new", x, reward).late == {}
    assert belief.learn_eval("new", x, reward).update("new", x, reward).late == {}
    for later in (
        late.update("a", x, reward),
        late.update("new", x, reward, -1.0).update("new", x, reward),
        late.faded(0.5),
        late.doubted("new", 0.1),
        late.under(replace(PRIOR, noise_guess=0.3)),
    ):
        assert later.late == late.late
        assert later.predict(x, ("a", "new", "b")).late.tolist() == [0.0, 60.0, 0.0]


def test_evidence_of_two_priors_differs_as_the_multivariate_t_says() -> None:
    rng = np.random.default_rng(8)
    outcomes = rows(rng, 40)
    rewards = [r for _, _, r, _ in outcomes]
    other = replace(PRIOR, deviation=Scales(0.1, 0.9, 0.2, 0.5), shared=Scales(1, 0.1, 0.3, 2.0))
    closed = []
    for prior in (PRIOR, other):
        dense = Dense.of(prior, ARMS, outcomes)
        spread = dense.design @ np.diag(1 / dense.prior_precision) @ dense.design.T
        marginal = multivariate_t(
            dense.design @ dense.prior_mean,
            prior.noise_guess * (np.eye(40) + spread),
            df=prior.noise_weight,
        )
        closed.append(float(marginal.logpdf(rewards)))
    belief = learned(PRIOR, outcomes)
    ours = belief.under(other).log_evidence - belief.log_evidence
    assert ours == pytest.approx(closed[1] - closed[0], rel=1e-8)


def test_another_prior_says_the_same_whether_or_not_the_first_was_asked() -> None:
    rng = np.random.default_rng(13)
    outcomes = rows(rng, 60)
    x = contexts(rng, 1)[0]
    hinted = replace(PRIOR, hints={"a": 0.2, "new": 0.9})
    for other in (
        replace(hinted, shared=Scales(1, 0.1, 0.3, 2.0)),
        replace(hinted, deviation=Scales(1, 0.1, 0.3, 2.0)),
        replace(hinted, hints={"b": 0.1}),
        replace(hinted, hint_weight=50.0),
        replace(hinted, mean=0.1),
        replace(hinted, dearness={"b": 1.0, "new": -3.0}),
        replace(hinted, slope=-0.2),
        replace(hinted, slope_sd=2.0),
        replace(hinted, noise_guess=1.0),
    ):
        asked = learned(hinted, outcomes)
        asked.predict(x, ARMS)
        told, fresh = asked.under(other), learned(other, outcomes)
        assert_close(told.predict(x, (*ARMS, "new")).mean, fresh.predict(x, (*ARMS, "new")).mean)
        assert_close(told.predict(x, ARMS).covariance, fresh.predict(x, ARMS).covariance)
        assert told.log_evidence == pytest.approx(fresh.log_evidence, rel=1e-10)


def test_an_arm_without_outcomes_changes_no_bit_of_the_others() -> None:
    rng = np.random.default_rng(9)
    belief = learned(PRIOR, rows(rng, 100))
    for x in contexts(rng, 50):
        without = belief.predict(x, ARMS)
        for more in (("new",), ("new", "newer", "newest", "last")):
            beside = belief.predict(x, (*ARMS, *more))
            np.testing.assert_array_equal(beside.mean[:3], without.mean)
            np.testing.assert_array_equal(beside.sd[:3], without.sd)


def test_a_belief_that_forgot_everything_is_the_prior() -> None:
    rng = np.random.default_rng(10)
    x = contexts(rng, 1)[0]
    forgotten, fresh = learned(PRIOR, rows(rng, 100)).faded(0.0), Belief(PRIOR)
    np.testing.assert_allclose(forgotten.predict(x, ARMS).mean, fresh.predict(x, ARMS).mean)
    np.testing.assert_allclose(
        forgotten.predict(x, ARMS).covariance, fresh.predict(x, ARMS).covariance
    )
    assert forgotten.noise == pytest.approx(PRIOR.noise_guess)


@pytest.mark.slow
def test_forgetting_on_a_long_narrow_stream_keeps_the_matrices_healthy() -> None:
    rng = np.random.default_rng(11)
    d, rank = 40, 8
    hyper = Hyper()
    groups = ("facts",) * (d - 1) + ("constant",)
    narrow = rng.normal(size=(rank, d))
    belief = Belief(hyper.quality_prior(groups))
    for _ in range(50_000):
        belief = belief.faded(0.997).update("a", rng.normal(size=rank) @ narrow, rng.random())
    for covariance in (belief.known["a"].covariance, belief.shared[1]):
        eigenvalues = np.linalg.eigvalsh(covariance)
        assert eigenvalues[0] > 0
        assert eigenvalues[-1] / eigenvalues[0] < 1e6
    assert belief.known["a"].evidence.weight == pytest.approx(1 / (1 - 0.997), rel=1e-6)


COVERAGE = Prior(
    ("facts", "facts", "words", "constant"),
    Scales(0.2, 0.2, 0.3, 0.5),
    PRIOR.shared,
    0.6,
    0.1,
    dearness={"a": -2.0, "b": 1.0, "d": 3.0},
    slope=0.05,
    slope_sd=0.2,
)
PROBLEMS, K = 340, 4


def played(world: World, how: str, rng: np.random.Generator) -> Belief:
    """Return what is believed at the end; only rounds that will be rated are played."""
    belief = Belief(COVERAGE)
    rated = {"thompson": 60, "greedy": 60, "sparse": 30, "delayed": 100}[how]
    delay = 50 if how == "delayed" else 0  # 500 rounds of which every tenth is rated
    waiting = []
    for x in contexts(rng, rated, 4):
        if how == "greedy":
            arm = int(belief.predict(x, ARMS4).mean.argmax())
        else:
            policy = Thompson(belief, Hyper(draws=16))
            arm = choose(policy.propensities(Offer(x, ARMS4, np.zeros(K)), rng), rng)
        waiting.append((ARMS4[arm], x, world.reward(arm, x, rng)))
        if len(waiting) > delay:
            belief = belief.update(*waiting.pop(0))
    return belief


ARMS4 = ("a", "b", "c", "d")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["thompson", "greedy", "sparse", "delayed"])
def test_intervals_cover_the_truth_although_the_data_were_chosen_by_looking(how: str) -> None:
    rng = np.random.default_rng(12)
    inside: dict[float, list[float]] = {0.6744897501960817: [], 1.6448536269514722: []}
    for _ in range(PROBLEMS):
        world = World.drawn(COVERAGE, K, rng)
        belief = played(world, how, rng)
        asked = contexts(rng, 20, 4)
        said = [belief.predict(x, ARMS4) for x in asked]
        missed = [one.mean - world.weights @ x for one, x in zip(said, asked, strict=True)]
        z = np.abs(missed) / [one.sd for one in said]
        for limit, seen in inside.items():
            seen.append(float((z < limit).mean()))
    for nominal, seen in zip((0.5, 0.9), inside.values(), strict=True):
        assert np.std(seen) / np.sqrt(PROBLEMS) < 0.01  # the run can tell
        assert abs(np.mean(seen) - nominal) < 0.015


def test_the_doubt_of_a_standing_is_that_about_the_mean_of_what_was_asked() -> None:
    rng = np.random.default_rng(11)
    asked = contexts(rng, 40)
    belief = Belief(PRIOR)
    for i, x in enumerate(asked):
        belief = belief.update("ab"[i % 2], x, float(rng.random()))
    said = belief.predict(asked[::2].mean(axis=0), ("a",))
    assert belief.mean_weights("a").sd == pytest.approx(float(said.sd[0]))
    assert belief.mean_weights("a").weights @ asked[0] == pytest.approx(
        float(belief.predict(asked[0], ("a",)).mean[0])
    )


def test_the_doubt_of_a_standing_grows_as_its_evidence_fades() -> None:
    rng = np.random.default_rng(12)
    belief = Belief(PRIOR)
    for i, x in enumerate(contexts(rng, 40)):
        belief = belief.update("ab"[i % 2], x, float(rng.random()))
    sds = [
        belief.doubted("b", kept).mean_weights("b").sd for kept in (1, 0.1, 0.01, 0.001, 1e-12, 0)
    ]
    assert sds == sorted(sds)
    x = np.eye(PRIOR.shared_mean.size - 1)[-1]
    assert sds[-1] == pytest.approx(float(belief.doubted("b", 0).predict(x, ("b",)).sd[0]))
