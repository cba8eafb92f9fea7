"""The share of each arm that it may not exceed, whatever is believed of it.

Every decision of the policy earns an arm with a `max_share` that share of a request, and a request
that goes to it is paid from what is earned; who cannot pay is not eligible. Nobody saves more than
a burst of a few requests, and nobody is in debt: of any stretch of n decisions at most
`max_share` * n and the burst go to the arm. What starts anew has nothing saved, so a restart never
gives more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from policy.types import Arm

BURST = 5.0
ROUNDING = 1e-9
"""Ten tenths, added up, are a little less than one."""

Bound = Literal["kept", "lifted", "pinned"]
"""How shares bind a decision: `lifted` where nobody else could serve; `pinned` is the caller's."""


@dataclass(frozen=True, slots=True)
class Had:
    """What one arm has saved, in requests, and how many it had of how many were decided."""

    saved: float = 0.0
    requests: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """What each arm with a share of its own has had since the start; of no other it is known."""

    had: Mapping[str, Had] = field(default_factory=dict)

    def earned(self, arms: Sequence[Arm], decisions: int = 1) -> Self:
        """Return the shares so many decisions of the policy later."""
        every = {}
        for arm in arms:
            if arm.max_share is not None:
                had = self.of(arm.name)
                saved = min(had.saved + decisions * arm.max_share, BURST)
                every[arm.name] = Had(saved, had.requests, had.of + decisions)
        return type(self)(every)

    def paid(self, arm: str) -> Self:
        """Return the shares after a request went to an arm; what it had not earned was free."""
        if arm not in self.had:
            return self
        had = self.had[arm]
        after = Had(max(had.saved - 1.0, 0.0), had.requests + 1, had.of)
        return type(self)({**self.had, arm: after})

    def used_up(self, arms: Sequence[Arm]) -> dict[str, str]:
        """Return why each arm is passed over that has not earned a request.

        >>> large = Arm("large", "p", "m", 1.0, 1.0, 1000, max_share=0.4)
        >>> Shares().earned([large]).used_up([large])
        {'large': 'it has had its share of 0.4'}
        """
        return {
            arm.name: f"it has had its share of {arm.max_share:g}"
            for arm in arms
            if arm.max_share is not None and self.of(arm.name).saved < 1.0 - ROUNDING
        }

    def of(self, arm: str) -> Had:
        """Return what one arm has had."""
        return self.had.get(arm, Had())
