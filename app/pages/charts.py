"""What the charts of the pages show, as plain data: drawn in the browser, and told as tables."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.mistakes import seen
from app.monitoring.traffic import Traffic, TrafficSums
from policy.errors import InvalidInput
from policy.types import DAY_S, HOUR_S

COLOURS = 8
OTHER = "c8"
"""The colour of whatever has none of its own."""

AxisUnit = Literal["usd", "count", "share"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in steps; it ends with the step that is under way, of which `passed` tells.

    units  : passed is the share of the stretch that is over, 0..1
    """

    name: str
    label: str
    since_s: float
    until_s: float
    step_s: float
    passed: float

    @property
    def length_s(self) -> float:
        """Return how long it is."""
        return self.until_s - self.since_s

    def of(self, traffic: Traffic) -> Traffic:
        """Return the traffic in it."""
        return traffic.between(self.since_s, self.until_s)

    def before(self, traffic: Traffic) -> Traffic:
        """Return the traffic of the same length before it, none where it began later than that."""
        since_s = self.since_s - self.length_s
        began_s = min(traffic.starts_s, default=math.inf)
        if began_s >= since_s + self.step_s:
            return Traffic()
        return traffic.between(since_s, self.since_s)

    def starts_s(self) -> list[float]:
        """Return when each step begins."""
        steps = round(self.length_s / self.step_s)
        return [self.since_s + i * self.step_s for i in range(steps)]


SPANS: Mapping[str, tuple[str, float, float]] = {
    "1h": ("hour", HOUR_S, HOUR_S / 12),
    "24h": ("24 hours", DAY_S, HOUR_S),
    "7d": ("7 days", 7 * DAY_S, 6 * HOUR_S),
    "30d": ("30 days", 30 * DAY_S, DAY_S),
}
DEFAULT = "7d"


def span(name: str | None, traffic: Traffic, now_s: float) -> Span:
    """Return the span of this name; without one, the shortest that holds all there is.

    raises : InvalidInput if there is none of this name
    """
    if name is not None and name not in SPANS:
        raise InvalidInput(
            f"span is {seen(name)}: it must be one of {', '.join(SPANS)}", param="span"
        )
    if name is None:
        age_s = now_s - float(traffic.starts_s.min()) if len(traffic.starts_s) else 0.0
        short = [each for each in ("1h", "24h") if age_s < SPANS[each][1]]
        name = short[0] if short else DEFAULT
    label, length_s, step_s = SPANS[name]
    until_s = (now_s // step_s + 1) * step_s
    # Days are whole ones, as those of the report that is shown beside them.
    ends_s = until_s if length_s <= DAY_S else (now_s // DAY_S + 1) * DAY_S
    since_s = ends_s - length_s
    return Span(name, label, since_s, until_s, step_s, (now_s - since_s) / (until_s - since_s))


def colours(arms: Iterable[str], traffic: Traffic) -> dict[str, str]:
    """Return the colour of each arm of the catalogue; of many the eight asked most have their own.

    >>> colours(["a", "b"], Traffic())
    {'a': 'c0', 'b': 'c1'}
    """
    offered = list(arms)
    asked = [arm for arm in traffic.by("arm") if arm in offered]
    shown = set(list(dict.fromkeys([*asked, *offered]))[:COLOURS])
    places = {arm: i for i, arm in enumerate(arm for arm in offered if arm in shown)}
    return {arm: f"c{places[arm]}" if arm in places else OTHER for arm in offered}


def by_arm(
    traffic: Traffic,
    period: Span,
    paints: Mapping[str, str],
    unit: AxisUnit,
    of: Callable[[TrafficSums], float],
) -> dict[str, Any]:
    """Return a stack of arms over time; as shares each step adds up to one, or is none."""
    starts_s, used = period.starts_s(), traffic.by("arm")
    shown = [arm for arm in paints if arm in used and paints[arm] != OTHER]
    rest = [arm for arm in used if arm not in shown]
    groups = [(arm, paints[arm], [arm]) for arm in shown]
    groups += [("other arms" if len(rest) > 1 else rest[0], OTHER, rest)] if rest else []
    series = []
    for name, colour, arms in groups:
        steps = traffic.where("arm", arms).by_step(period.step_s)
        values = [of(steps.get(start_s, TrafficSums())) for start_s in starts_s]
        series.append({"name": name, "colour": colour, "values": values})
    if unit == "share":
        _as_shares(series)
    return _chart("stack", unit, starts_s, period.step_s, series)


def satisfaction(traffic: Traffic, period: Span) -> dict[str, Any]:
    """Return the mean reward over time with its interval; a step without ratings has a gap."""
    steps, starts_s = traffic.by_step(period.step_s), period.starts_s()
    found = [steps.get(start_s, TrafficSums()) for start_s in starts_s]
    spans = [each.satisfaction_interval or (None, None) for each in found]
    series: list[dict[str, Any]] = [
        {"name": name, "colour": "accent", "values": values}
        for name, values in (
            ("satisfied", [each.satisfaction for each in found]),
            ("at least", [low for low, _ in spans]),
            ("at most", [high for _, high in spans]),
        )
    ]
    return _chart("band", "share", starts_s, period.step_s, series)


def _as_shares(series: Sequence[dict[str, Any]]) -> None:
    for i, total in enumerate(map(sum, zip(*(each["values"] for each in series), strict=True))):
        for each in series:
            each["values"][i] = each["values"][i] / total if total else None


def _chart(
    kind: str,
    unit: AxisUnit,
    starts_s: Sequence[float],
    step_s: float,
    series: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    return {"kind": kind, "unit": unit, "x": starts_s, "step_s": step_s, "series": series}
