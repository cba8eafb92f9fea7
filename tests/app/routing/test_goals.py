"""What sets the price of a dollar and who is the control, as the settings say."""

from pathlib import Path

from app.routing.goals import CONTROL_SHARE, goals
from app.settings import Settings
from policy.exploration import Control
from policy.pacer import KNOWN, Budget, QualityFloor, WillingnessToPay
from upstream.catalogue import load

CATALOGUE = load(Path(__file__).parents[3] / "data" / "arms.toml")


def said(**given: object):
    return goals(Settings.load({}, given), CATALOGUE)


def test_a_hand_a_budget_or_a_floor_sets_the_price() -> None:
    assert said(willingness_to_pay_usd=0.5).service == WillingnessToPay(0.5)
    assert said(budget_usd=5.0, budget_per="hour").service == Budget(5.0, "hour")
    assert said(quality_floor=0.98).service == QualityFloor(0.98, "gpt-4o")


def test_a_hundredth_of_the_requests_goes_to_the_baseline() -> None:
    assert said().control == Control(CONTROL_SHARE, None)
    assert said(baseline="qwen3-32b").control == Control(CONTROL_SHARE, "qwen3-32b")
    assert said(control_share=0.0).control is None


def test_a_budget_has_a_control_only_if_one_is_asked_for() -> None:
    assert said(budget_usd=5.0).control is None
    assert said(budget_usd=5.0, control_share=0.02).control == Control(0.02, None)


def test_a_key_with_a_budget_has_a_control_only_if_one_is_asked_for() -> None:
    own = Budget(0.001, "request")
    assert said().control_of(own) is None
    assert said(control_share=0.02).control_of(own) == Control(0.02, None)
    assert said(budget_usd=5.0, control_share=0.02).control_of(own) == Control(0.02, None)


def test_a_floor_asks_what_it_is_held_against_often_until_that_is_known() -> None:
    floor = said(quality_floor=0.98, baseline="qwen3-32b")
    assert floor.control_of(None) == Control(CONTROL_SHARE, "qwen3-32b", KNOWN)
    assert floor.control_of(WillingnessToPay(0.5)) == Control(CONTROL_SHARE, "qwen3-32b")
    of_a_key = said(budget_usd=5.0).control_of(QualityFloor(0.9, "gpt-4o"))
    assert of_a_key == Control(0.0, "gpt-4o", KNOWN)
