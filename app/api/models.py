"""The names that a client may put in `model`: what routes, and what pins an arm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.mistakes import seen
from policy.errors import UnknownModel
from policy.types import Arm

OURS = "turnpike"
# By how much more than usual the caller would pay for a better answer.
ROUTED: Mapping[str, float] = {"auto": 1.0, "auto:cheap": 0.1, "auto:best": 10.0}


@dataclass(frozen=True, slots=True)
class Named:
    """What a model's name asks for: an arm, or None for routing at `pay_factor`."""

    arm: str | None
    pay_factor: float = 1.0


def named(model: str, arms: Mapping[str, Arm]) -> Named:
    """Return what a name asks for; of several arms with one provider's model, the first.

    raises : UnknownModel, listing what there is

    >>> named("auto:cheap", {})
    Named(arm=None, pay_factor=0.1)
    """
    if model in ROUTED:
        return Named(None, ROUTED[model])
    if model in arms:
        return Named(model)
    for arm in arms.values():
        if arm.model == model:
            return Named(arm.name)
    raise UnknownModel(
        f"model is {seen(model)}, which is none here; it must be one of "
        f"{', '.join([*ROUTED, *arms])}, or a provider's own name of a model",
        param="model",
    )


def listed(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """Return every name, as OpenAI lists models."""
    data = [_model(name, OURS) for name in ROUTED]
    data += [_model(arm.name, arm.provider) for arm in arms.values()]
    return {"object": "list", "data": data}


def described(model: str, arms: Mapping[str, Arm]) -> dict[str, Any]:
    """Return one name, as OpenAI describes a model.

    raises : UnknownModel
    """
    arm = named(model, arms).arm
    return _model(model, OURS if arm is None else arms[arm].provider)


def _model(name: str, owner: str) -> dict[str, Any]:
    # When a model was made is not known here, and clients want a number.
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
