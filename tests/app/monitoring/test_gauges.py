"""What gauges show of what is there no longer: nothing that was true once."""

from math import isnan

from app.monitoring.gauges import Gauges, Standing
from app.monitoring.lookout import Alarm
from app.monitoring.metrics import Metrics
from tests.app.monitoring.test_metrics import Samples, samples, value
from tests.app.running import Running

NOW_S = 1_700_000_000.0
SLOW = Alarm("latency", "gpt-4o", "warning", "it is slow", "look", NOW_S)


def test_of_an_arm_that_left_and_an_alarm_that_is_over_nothing_is_shown_until_they_return(
    shared: Running,
) -> None:
    metrics, parts = Metrics(), shared.parts
    gauges, arms = Gauges(metrics), parts.catalogue().arms
    gone = next(iter(arms))
    fewer = {name: arm for name, arm in arms.items() if name != gone}

    def looked(arms_now: object, *alarms: Alarm) -> Samples:
        at = Standing(arms_now, parts.log, parts.live, parts.router.health, alarms)  # type: ignore[arg-type]
        gauges.look(at, NOW_S)
        return samples(metrics.page().decode())

    for _ in range(2):
        before, after = looked(arms, SLOW), looked(fewer)
        for name in ("breaker_state", "calls_under_way"):
            assert value(before, name, arm=gone) == 0
            assert isnan(value(after, name, arm=gone))
            assert value(after, name, arm=next(iter(fewer))) == 0
        labels = {"alarm": "latency", "arm": "gpt-4o", "severity": "warning"}
        assert value(before, "alarms", **labels) == 1
        assert value(after, "alarms", **labels) == 0
