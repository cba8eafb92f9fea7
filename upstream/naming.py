"""Who has answered: the model that was asked, perhaps under a longer name, or another one.

Providers spell a model with and without its vendor, and answer with the version that an alias
stands for. What remains beside that is another model, whose price is another too.
"""

import re
from collections.abc import Iterable

from policy.types import Arm

# What may follow a name without making it another model's: a date, a release, `latest`.
_VERSION = re.compile(r"(?:[-@:](?:latest|\d{3,8}|\d{4}-\d{2}-\d{2}|v\d+))+")


def is_same_model(asked: str, answered: str) -> bool:
    """Return whether two names mean one model.

    >>> is_same_model("openai/gpt-4o", "gpt-4o-2024-08-06"), is_same_model("gpt-4o", "gpt-4o-mini")
    (True, False)
    """
    if asked == answered:
        return True
    short, long = sorted((_bare(asked), _bare(answered)), key=len)
    rest = long.removeprefix(short)
    return not rest or (rest != long and _VERSION.fullmatch(rest) is not None)


def answering(arm: Arm, model: str, arms: Iterable[Arm]) -> Arm | None:
    """Return the arm whose model answered when `arm` was asked; None if the catalogue has none.

    Among arms of that model, one of the same provider and tier is meant before others.
    """
    names = (arm.model, *arm.answers_as)
    if any(is_same_model(name, model) for name in names):
        return arm
    known = [each for each in arms if is_same_model(each.model, model)]
    alike = [(each.provider == arm.provider, each.tier == arm.tier) for each in known]
    return known[alike.index(max(alike))] if known else None


def _bare(name: str) -> str:
    return name.rpartition("/")[2].lower()
