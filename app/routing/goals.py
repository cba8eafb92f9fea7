"""What sets the willingness to pay: of the service by its settings, of a key by how it was made."""

from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from policy.baselines import baseline
from policy.exploration import Control
from policy.pacer import Budget, Goal, QualityFloor, WillingnessToPay, control_of
from storage.keys import Key
from upstream.catalogue import Catalogue

CONTROL_SHARE = 0.01
"""Without a budget, which a dear baseline's share alone could exceed."""


@dataclass(frozen=True, slots=True)
class Goals:
    """The goal of the service, the arm that a floor of quality is measured against, its control.

    `are_shared` says that other processes spend from the same budgets, `is_control_asked` that the
    settings name the control's share: only then it takes its share where a budget sets the price.
    """

    service: Goal
    baseline: str
    control: Control | None = None
    are_shared: bool = False
    is_control_asked: bool = False

    def control_of(self, goal: Goal | None) -> Control | None:
        """Return which arm is asked whatever looks best; a goal of None is the service's."""
        goal = goal or self.service
        is_spared = isinstance(goal, Budget) and not self.is_control_asked
        return control_of(goal, None if is_spared else self.control)

    def of(self, key: Key) -> tuple[Goal | None, Budget | None]:
        """Return what sets a key's price, None for what sets the service's; and its ceiling."""
        budget = None
        if key.budget_usd is not None:
            budget = Budget(key.budget_usd, key.budget_per)
        if key.willingness_to_pay_usd is not None:
            return WillingnessToPay(key.willingness_to_pay_usd), budget
        if key.quality_floor is not None:
            return QualityFloor(key.quality_floor, self.baseline), budget
        return budget, None


def goals(settings: Settings, catalogue: Catalogue) -> Goals:
    """Return what the settings say; the arms they name are in the catalogue."""
    against = baseline(list(catalogue.arms.values()), settings.baseline)
    goal, share = _goal(settings, against), settings.control_share
    if share is None:
        share = 0.0 if isinstance(goal, Budget) else CONTROL_SHARE
    control = Control(share, settings.baseline) if share else None
    are_shared = not isinstance(settings.database, Path)
    return Goals(goal, against, control, are_shared, settings.control_share is not None)


def _goal(settings: Settings, against: str) -> Goal:
    if settings.budget_usd is not None:
        return Budget(settings.budget_usd, settings.budget_per)
    if settings.quality_floor is not None:
        return QualityFloor(settings.quality_floor, against)
    return WillingnessToPay(settings.willingness_to_pay_usd)
