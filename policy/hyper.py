"""The hyper-parameters of a policy version: logged with it, so a fold needs nothing else.

The defaults serve a team that has shown nothing yet; a retrain replaces the scales by those the
team's own outcomes make most likely (`policy/tuning.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from policy.prior import Prior, Scales

DAY_S = 86_400.0

QUALITY_DEVIATION = Scales(facts=0.025, words=0.025, task=0.2, constant=1.0)
QUALITY_SHARED = Scales(facts=0.1, words=0.1, task=0.5, constant=1.0)
TOKENS_DEVIATION = Scales(facts=0.05, words=0.05, task=0.3, constant=1.0)
TOKENS_SHARED = Scales(facts=0.1, words=0.1, task=0.5, constant=2.0)


@dataclass(frozen=True, slots=True)
class Hyper:
    """Everything that shapes what a policy believes and how it chooses.

    units  : scales in noise standard deviations, half_life_s seconds, floor and explored_share
             0..1, free_trials outcomes of all arms together before trying one is charged in full
    """

    quality_deviation: Scales = QUALITY_DEVIATION
    quality_shared: Scales = QUALITY_SHARED
    tokens_deviation: Scales = TOKENS_DEVIATION
    tokens_shared: Scales = TOKENS_SHARED
    hints: Mapping[str, float] = field(default_factory=dict)
    half_life_s: float = 90 * DAY_S
    temperature: float = 0.3
    cold_outcomes: float = 5.0
    draws: int = 256
    floor: float = 0.004
    explored_share: float = 0.10
    free_trials: float = 800.0

    def quality_prior(self, groups: tuple[str, ...]) -> Prior:
        """Return the prior of rewards, which lie in 0..1."""
        return Prior(
            groups, self.quality_deviation, self.quality_shared, 0.7, 0.1, hints=dict(self.hints)
        )

    def tokens_prior(self, groups: tuple[str, ...]) -> Prior:
        """Return the prior of log(1 + output tokens); a typical answer has about 300."""
        return Prior(groups, self.tokens_deviation, self.tokens_shared, 5.7, 0.5)

    def with_hints(self, hints: Mapping[str, float]) -> Self:
        """Return the same hyper-parameters with the catalogue's quality hints."""
        return replace(self, hints=dict(sorted(hints.items())))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data.

        >>> Hyper.from_json(Hyper(floor=0.02).to_json()) == Hyper(floor=0.02)
        True
        """
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the hyper-parameters that `to_json` gave."""
        scales = {
            name: Scales(**value)
            for name, value in data.items()
            if name.endswith(("_deviation", "_shared"))
        }
        return cls(**{**data, **scales})
