"""How the service stands, as gauges: breakers, the price of a dollar, queues, what is learned."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import nan

from app.monitoring.lookout import Alarm
from app.monitoring.metrics import Metrics, show
from app.routing.live import Live
from policy.errors import StoreUnavailable
from policy.types import Arm
from storage.log import Log
from upstream.breaker import State
from upstream.health import Health

STATES: dict[State, int] = {"closed": 0, "half-open": 1, "open": 2}


class Gauges:
    """The gauges of one service; every look sets them all, to NaN what there is none of.

    Of several workers the worst breaker counts, calls and queues are added up, and of what all
    of them read in the same log the newest value is shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        gauge, newest = metrics.gauge, "livemostrecent"
        self._breaker = gauge("breaker_state", "0 closed, 1 half-open, 2 open", "livemax", "arm")
        self._under_way = gauge("calls_under_way", "Upstream calls under way", "livesum", "arm")
        self._queue = gauge("log_queue_depth", "Writes that wait for the disk", "livesum")
        self._lag = gauge("learning_lag_events", "Events in the log not learned yet", "livemax")
        self._retrain = gauge("retrain_age_seconds", "Seconds since the last retrain", newest)
        self._version = gauge("policy_version", "The policy version that serves", newest)
        self._pays = gauge("willingness_to_pay_usd", "Dollars a thumbs-up is worth", newest)
        self._alarms = gauge(
            "alarms", "1 while an alarm is open", newest, "alarm", "arm", "severity"
        )
        self._left = gauge("budget_left_usd", "Dollars left of the hour's or day's budget", newest)

    def look(
        self,
        arms: Mapping[str, Arm],
        log: Log,
        live: Live,
        health: Health,
        alarms: Sequence[Alarm],
        now_s: float,
    ) -> None:
        """Set every gauge to how things stand now."""
        shown = self._metrics.shown()
        standing = {name: health.standing(arm) for name, arm in arms.items()}
        states = [({"arm": name}, STATES[each.state]) for name, each in standing.items()]
        show(self._breaker, states, shown)
        under_way = [({"arm": name}, each.under_way) for name, each in standing.items()]
        show(self._under_way, under_way, shown)
        show(self._alarms, [(_labels(alarm), 1) for alarm in alarms], shown)
        self._queue.set(log.waiting)
        self._version.set(live.learned.policy_version)
        lag = age_s = nan
        with suppress(StoreUnavailable):  # of which an alarm tells, that is to be seen
            lag = max(log.position() - live.learned.upto_seq, 0)
            age_s = next((now_s - each.ended_at_s for each in log.retrains(1)), nan)
        self._lag.set(lag)
        self._retrain.set(age_s)
        self._pays.set(live.pacer.willingness_to_pay_usd)
        left_usd = live.pacer.unspent_usd(now_s)
        self._left.set(nan if left_usd is None else left_usd)


def _labels(alarm: Alarm) -> dict[str, str]:
    return {"alarm": alarm.name, "arm": alarm.about, "severity": alarm.severity}
