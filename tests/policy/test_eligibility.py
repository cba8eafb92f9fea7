"""An arm that cannot serve is left out, and the reason says what would have to change."""

import re
from dataclasses import replace

import numpy as np
import pytest

from policy.eligibility import Demand, affordable, divided, refusal, require_some
from policy.errors import NoEligibleArm
from policy.types import Arm

PLAIN = Arm("plain", "p", "plain", 1.0, 2.0, 8_000)
SEEING = replace(PLAIN, name="seeing", capabilities=frozenset({"vision", "tools"}))
WIDE = replace(PLAIN, name="wide", context_window=100_000)
ARMS = [PLAIN, SEEING, WIDE]
COOLING = "it is cooling"


@pytest.mark.parametrize(
    ("demand", "left_out"),
    [
        (Demand(100), {}),
        (Demand(8_000), {}),
        (
            Demand(8_001),
            {
                "plain": "the prompt has about 8001 tokens, its window is 8000",
                "seeing": "the prompt has about 8001 tokens, its window is 8000",
            },
        ),
        (
            Demand(7_000, output_tokens=1_001, allowed=("plain", "wide")),
            {
                "plain": "the prompt and answer have about 8001 tokens, its window is 8000",
                "seeing": "the request does not list it",
            },
        ),
        (
            Demand(100, capabilities=frozenset({"vision", "tools"})),
            {"plain": "it lacks tools, vision", "wide": "it lacks tools, vision"},
        ),
        (
            Demand(100, allowed=("wide",)),
            {"plain": "the request does not list it", "seeing": "the request does not list it"},
        ),
        (
            Demand(8_001, output_tokens=1, allowed=("plain", "seeing", "wide")),
            {
                "plain": "the prompt has about 8001 tokens, its window is 8000",
                "seeing": "the prompt has about 8001 tokens, its window is 8000",
            },
        ),
        (Demand(100, unavailable={"wide": COOLING}), {"wide": COOLING}),
    ],
)
def test_an_arm_is_left_out_for_a_reason(demand: Demand, left_out: dict[str, str]) -> None:
    fit, reasons = divided(ARMS, demand)
    assert reasons == left_out
    assert [arm.name for arm in fit] == [arm.name for arm in ARMS if arm.name not in left_out]


def test_an_arm_above_the_limit_of_the_request_is_left_out() -> None:
    cost = np.array([0.001, 0.002, 0.003])
    reasons = affordable(ARMS, cost, Demand(100, max_cost_usd=0.002))
    assert reasons == {"wide": "it would cost about $0.003, max_cost_usd is $0.002"}
    assert affordable(ARMS, cost, Demand(100)) == {}


@pytest.mark.parametrize("usd", [0.0002544693, 0.00038400000000000006, 0.003, 1.2345e-08, 12.344])
def test_as_much_as_an_arm_is_told_to_cost_is_enough_for_it(usd: float) -> None:
    cost, limit = np.full(len(ARMS), usd), usd * 0.9999
    why = affordable(ARMS, cost, Demand(100, max_cost_usd=limit))["wide"]
    told, allowed = (float(each) for each in re.findall(r"\$([\d.e-]+)", why))
    assert allowed < usd <= told < 1.01 * usd
    assert affordable(ARMS, cost, Demand(100, max_cost_usd=told)) == {}


def test_with_no_arm_left_the_error_gives_the_reason_of_each() -> None:
    fit, reasons = divided(ARMS, Demand(1_000_000))
    with pytest.raises(NoEligibleArm, match="plain: .*; seeing: .*; wide: .*") as raised:
        require_some(fit, reasons)
    assert raised.value.reasons == reasons


def test_arms_that_the_request_does_not_list_are_told_of_only_where_it_lists_none() -> None:
    with pytest.raises(NoEligibleArm, match=r"request: wide: it is cooling$") as raised:
        require_some(*divided(ARMS, Demand(1, allowed=("wide",), unavailable={"wide": COOLING})))
    assert raised.value.reasons == {"wide": COOLING}
    with pytest.raises(NoEligibleArm, match="plain: the request does not list it; seeing: "):
        require_some(*divided(ARMS, Demand(1, allowed=())))


@pytest.mark.parametrize(
    ("demand", "first"),
    [
        (Demand(200_000, output_tokens=1), "prompt"),
        (Demand(100_000, output_tokens=1), "max_completion_tokens"),
        (Demand(1, output_tokens=200_000), "max_completion_tokens"),
    ],
)
def test_the_answers_limit_is_to_blame_where_the_prompt_alone_fits_an_arm(
    demand: Demand, first: str
) -> None:
    error = refusal(divided(ARMS, demand)[1])
    assert (error.code, error.about[0]) == ("context_length_exceeded", first)


def test_the_length_is_to_blame_only_where_it_alone_kept_every_arm_away() -> None:
    long = "the prompt has about 8001 tokens, its window is 8000"
    assert refusal({"plain": long, "wide": COOLING}).code == "no_eligible_arm"
    assert refusal(divided(ARMS, Demand(1, allowed=()))[1]).code == "no_eligible_arm"


def test_the_limit_on_cost_is_to_blame_where_an_arm_would_serve_but_for_it() -> None:
    dear = "it would cost about $0.003, max_cost_usd is $0.002"
    assert refusal({"plain": COOLING, "wide": dear}).about[0] == "max_cost_usd"
    assert "max_cost_usd" not in refusal({"plain": COOLING, "wide": COOLING}).about


def test_an_empty_catalogue_is_named_as_such() -> None:
    with pytest.raises(NoEligibleArm, match="the catalogue is empty"):
        require_some(*divided([], Demand(1)))


def test_with_an_arm_left_nothing_is_refused() -> None:
    require_some([PLAIN], {"wide": "it is cooling"})
