"""The hyper-parameters of a policy version: logged with it, so a fold needs nothing else.

The defaults serve a team that has shown nothing yet; a retrain replaces the scales by those the
team's own outcomes make most likely (`policy/tuning.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import log
from typing import Any, Self

from policy.prior import Prior, Scales
from policy.types import DAY_S, Arm

QUALITY_DEVIATION = Scales(facts=0.025, words=0.025, task=0.2, constant=0.4)
QUALITY_SHARED = Scales(facts=0.1, words=0.1, task=0.5, constant=1.0)
TOKENS_DEVIATION = Scales(facts=0.05, words=0.05, task=0.3, constant=1.0)
TOKENS_SHARED = Scales(facts=0.1, words=0.1, task=0.5, constant=2.0)
FREE_USD_PER_MTOK = 0.01
"""What an arm that costs nothing, or next to it, counts as listed at."""


@dataclass(frozen=True, slots=True)
class Hyper:
    """Everything that shapes what a policy believes and how it chooses.

    units  : scales and slope_sd in noise standard deviations, slope in reward per e times the list
             price, `listed` in US dollars per million tokens, half_life_s seconds, floor and
             explored_share 0..1, free_trials outcomes of all arms together before trying one is
             charged in full
    """

    quality_deviation: Scales = QUALITY_DEVIATION
    quality_shared: Scales = QUALITY_SHARED
    tokens_deviation: Scales = TOKENS_DEVIATION
    tokens_shared: Scales = TOKENS_SHARED
    hints: Mapping[str, float] = field(default_factory=dict)
    listed: Mapping[str, float] = field(default_factory=dict)
    slope: float = 0.03
    slope_sd: float = 0.05
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
            groups,
            self.quality_deviation,
            self.quality_shared,
            0.7,
            0.1,
            hints=dict(self.hints),
            dearness={arm: log(max(usd, FREE_USD_PER_MTOK)) for arm, usd in self.listed.items()},
            slope=self.slope,
            slope_sd=self.slope_sd,
        )

    def tokens_prior(self, groups: tuple[str, ...]) -> Prior:
        """Return the prior of log(1 + output tokens); a typical answer has about 300."""
        return Prior(groups, self.tokens_deviation, self.tokens_shared, 5.7, 0.5)

    def following(self, arms: Iterable[Arm]) -> Self:
        """Return the same hyper-parameters with these arms' quality hints and list prices.

        The price is kept that an arm was first listed at: a cut is no word on its quality.

        >>> dict(Hyper().following([Arm("a", "p", "m", 2.0, 10.0, 128_000)]).listed)
        {'a': 4.0}
        """
        arms = sorted(arms, key=lambda arm: arm.name)
        hints = {arm.name: arm.quality for arm in arms if arm.quality is not None}
        listed = {arm.name: arm.listed_usd_per_mtok for arm in arms} | dict(self.listed)
        return replace(self, hints=hints, listed=dict(sorted(listed.items())))

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
