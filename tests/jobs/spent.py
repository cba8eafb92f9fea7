"""Rows of spending for tests: complete, so that a test names only what it is about."""

from typing import Any

from storage.spending import Spending
from tests.storage.rounds import NOON_S

BUSY_S = 900.0
"""How long a request lasts at most."""

ROW = Spending(
    id="d",
    decided_at_s=NOON_S,
    tenant="acme",
    task="support",
    kind="routed",
    retry_of=None,
    arm="cheap",
    eligible=("cheap", "dear"),
    propensities=(0.9, 0.1),
    quality=(0.8, 0.9),
    predicted_usd=(0.001, 0.01),
    willingness_to_pay_usd=0.01,
    words=90,
    cached_by_arm={},
    status="ok",
    cost_usd=0.002,
    cache="miss",
    first_eligible=(),
    first_predicted_usd=(),
)


def row(identity: str = "d", at_s: float = 0.0, **more: Any) -> Spending:
    return ROW._replace(id=identity, decided_at_s=NOON_S + at_s, **more)


def failed(identity: str, at_s: float = 0.0, **more: Any) -> Spending:
    return row(identity, at_s, status="error", **more)


def after(identity: str, failed_one: str, at_s: float = 0.0, **more: Any) -> Spending:
    return row(identity, at_s, retry_of=failed_one, kind="fallback", **more)
