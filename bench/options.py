"""How a replay is run: what is shown, told, delayed, changed on the way, and what may be spent."""

from dataclasses import dataclass
from typing import Literal

from bench.tables import Context
from policy.pacer import Budget, Goal, QualityFloor, WillingnessToPay

Scenario = Literal["steady", "price_cut", "degraded", "new_arm", "new_arm_evals"]
HALF = "half"
START_S = 1.7e9
"""Any moment will do; a request comes every second from here on."""
NO_BUDGET_USD = 1e6
"""The most the service takes: a cent more for an answer then weighs a hundred-millionth."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a replay is run.

    `feedback` is the share of prompts whose outcome is told, `delay` requests after they were
    served; `feedback_unsatisfied`, if given, is that share where the outcome is 0, so that who
    speaks depends on what there is to say. `binary` turns a score into a thumb of that probability.
    `warm` prompts are imported as evals first and not played. `learn_on` names the table whose
    prompts are played first and not judged, or "half" for half of the same table.
    `concerned` is the arm a scenario changes, by default the one it is about. `control` is the
    share of requests that go to the dearest arm whatever looks best.
    """

    context: Context = "text"
    policy: str = "thompson"
    feedback: float = 1.0
    feedback_unsatisfied: float | None = None
    binary: bool = False
    delay: int = 0
    warm: int = 0
    learn_on: str = ""
    scenario: Scenario = "steady"
    concerned: str = ""
    willingness_to_pay_usd: float = NO_BUDGET_USD
    budget_usd_per_request: float | None = None
    quality_floor: float | None = None
    baseline: str = ""
    control: float = 0.0

    @property
    def dials(self) -> list[str]:
        """Return what says how much is paid, each in words; of these there may be one.

        >>> Options(budget_usd_per_request=0.01, quality_floor=0.98).dials
        ['a budget of 0.01', 'a floor of quality of 0.98']
        """
        paid = self.willingness_to_pay_usd
        named = {
            "a budget": self.budget_usd_per_request,
            "a floor of quality": self.quality_floor,
            "a willingness to pay": None if paid == NO_BUDGET_USD else paid,
        }
        return [f"{name} of {value:g}" for name, value in named.items() if value is not None]

    def goal(self, dearest: str) -> Goal:
        """Return what the service is told to aim at; the dearest arm is the baseline by default."""
        if self.budget_usd_per_request is not None:
            return Budget(self.budget_usd_per_request, "request")
        if self.quality_floor is not None:
            return QualityFloor(self.quality_floor, self.baseline or dearest)
        return WillingnessToPay(self.willingness_to_pay_usd)
