"""The names in `model`: which route, which pin, and what an unknown one is told."""

import pytest

from app.api.models import ROUTED, described, listed, named
from policy.errors import UnknownModel
from policy.types import Arm

ARMS = {
    "small": Arm("small", "p", "vendor/small-1", 1.0, 2.0, 8000),
    "small-flex": Arm("small-flex", "p", "vendor/small-1", 0.5, 1.0, 8000),
    "large": Arm("large", "q", "vendor/large-1", 5.0, 9.0, 8000),
}


@pytest.mark.parametrize("model", [*ROUTED])
def test_auto_routes_and_says_how_much_more_is_paid(model: str) -> None:
    assert named(model, ARMS).arm is None
    assert named(model, ARMS).pay_factor == {"auto": 1, "auto:cheap": 0.1, "auto:best": 10}[model]


@pytest.mark.parametrize(
    ("model", "arm"), [("small", "small"), ("large", "large"), ("vendor/large-1", "large")]
)
def test_an_arm_is_pinned_by_its_name_or_its_providers(model: str, arm: str) -> None:
    assert named(model, ARMS).arm == arm


def test_of_two_arms_with_one_model_the_first_is_meant() -> None:
    assert named("vendor/small-1", ARMS).arm == "small"


@pytest.mark.parametrize("model", ["gpt-99", "auto:dear", "", "a\nb", "x" * 10_000])
def test_an_unknown_name_is_told_what_there_is(model: str) -> None:
    with pytest.raises(UnknownModel, match="auto, auto:cheap, auto:best, small, small-flex, large"):
        named(model, ARMS)
    with pytest.raises(UnknownModel) as raised:
        described(model, ARMS)
    assert "\n" not in raised.value.message
    assert len(raised.value.message) < 300
    assert raised.value.param == "model"


def test_the_list_holds_what_routes_and_every_arm() -> None:
    told = listed(ARMS)
    assert [each["id"] for each in told["data"]] == [*ROUTED, *ARMS]
    assert {each["owned_by"] for each in told["data"]} == {"turnpike", "p", "q"}
    assert told["data"][-1] == described("large", ARMS)
    assert described("vendor/large-1", ARMS)["owned_by"] == "q"
