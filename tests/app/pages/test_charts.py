"""What a chart shows is what the traffic adds up to, step by step."""

from dataclasses import replace

import numpy as np
import pytest

from app.monitoring.traffic import KEYS, STEP_S, SUMS, Traffic
from app.pages.charts import OTHER, SPANS, by_arm, colours, satisfaction, span
from app.pages.today import moved
from jobs.report import begins_s
from policy.types import DAY_S, HOUR_S
from tests.app.monitoring.test_traffic import ROW, rows
from tests.storage.rounds import NOON_S


def test_a_span_ends_with_the_step_under_way_and_is_as_long_as_it_says() -> None:
    for name, (_, length_s, step_s) in SPANS.items():
        made = span(name, Traffic(), NOON_S + 123.0)
        assert made.until_s - made.since_s == made.length_s
        assert length_s - DAY_S < made.length_s <= length_s
        assert made.until_s - step_s <= NOON_S + 123.0 < made.until_s
        assert len(made.starts_s()) * step_s == pytest.approx(made.length_s)


@pytest.mark.parametrize("hour", [0, 5, 12, 23])
def test_a_span_of_days_begins_where_the_report_of_as_many_days_does(hour: int) -> None:
    now_s = NOON_S // DAY_S * DAY_S + hour * HOUR_S + 60
    for name in ("7d", "30d"):
        assert span(name, Traffic(), now_s).since_s == begins_s(name, now_s)


def test_nothing_is_compared_with_a_time_before_the_log_began() -> None:
    week = span("7d", Traffic(), NOON_S)
    began_s, late_s = week.since_s - week.length_s, week.since_s - HOUR_S
    late = Traffic().add([replace(ROW, start_s=late_s)], 1)
    assert week.before(late).total().decisions == 0
    early = late.add([replace(ROW, start_s=began_s)], 2)
    assert week.before(early).total().decisions == 2 * ROW.decisions


@pytest.mark.parametrize("name", ["24h", "7d", "30d"])
@pytest.mark.parametrize("hour", [0.0, 0.2, 11.9, 23.6])
def test_what_goes_on_as_before_has_not_moved_at_any_hour(name: str, hour: float) -> None:
    now_s, steps = NOON_S // DAY_S * DAY_S + hour * HOUR_S + 1.0, int(62 * DAY_S / STEP_S)
    steady = replace(
        Traffic().add([ROW], 1),
        starts_s=(now_s // STEP_S - np.arange(steps)) * STEP_S,
        keys=np.ones((steps, len(KEYS)), np.int64),
        sums=np.ones((steps, len(SUMS))),
    )
    period = span(name, steady, now_s)
    change = moved(period.of(steady).total(), period.before(steady).total(), period.passed)
    assert change["cost_usd"] == pytest.approx(0.0, abs=2 * STEP_S / period.length_s)


@pytest.mark.parametrize(
    ("age_s", "name"), [(600, "1h"), (5 * HOUR_S, "24h"), (3 * DAY_S, "7d"), (50 * DAY_S, "7d")]
)
def test_without_a_name_the_span_fits_what_there_is(age_s: float, name: str) -> None:
    traffic = Traffic().add([replace(ROW, start_s=NOON_S - age_s)], 1)
    assert span(None, traffic, NOON_S).name == name


def test_the_stack_adds_up_to_what_was_spent() -> None:
    traffic = Traffic().add([*rows(300), replace(ROW, arm="gone")], 1)
    day = span("7d", traffic, NOON_S + 2 * DAY_S)
    chart = by_arm(traffic, day, colours("abc", traffic), "usd", lambda sums: sums.cost_usd)
    drawn = sum(value for series in chart["series"] for value in series["values"])
    assert drawn == pytest.approx(traffic.total().cost_usd)
    assert [series["name"] for series in chart["series"]] == ["a", "b", "c", "gone"]
    assert chart["series"][-1]["colour"] == OTHER


def test_shares_add_up_to_one_where_there_is_anything() -> None:
    traffic = Traffic().add(rows(300), 1)
    day = span("7d", traffic, NOON_S + 2 * DAY_S)
    chart = by_arm(traffic, day, colours("abc", traffic), "share", lambda sums: sums.decisions)
    steps = list(zip(*(each["values"] for each in chart["series"]), strict=True))
    some = [step for step in steps if None not in step]
    assert 0 < len(some) < len(steps)
    assert {round(sum(step), 9) for step in some} == {1.0}
    assert {each for step in steps if step not in some for each in step} == {None}


def test_arms_beyond_the_colours_are_one() -> None:
    names = [f"arm{i}" for i in range(12)]
    traffic = Traffic().add([replace(ROW, arm=name) for name in names], 1)
    hour = span("24h", traffic, NOON_S + 60)
    chart = by_arm(traffic, hour, colours(names, traffic), "count", lambda sums: sums.requests)
    assert [series["name"] for series in chart["series"]] == [*names[:8], "other arms"]
    assert sum(chart["series"][-1]["values"]) == 4


def test_of_many_arms_those_asked_most_have_a_colour_of_their_own() -> None:
    names = [f"arm{i}" for i in range(12)]
    traffic = Traffic().add([replace(ROW, arm=names[i], decisions=i) for i in range(12)], 1)
    painted = colours(names, traffic)
    assert [arm for arm, colour in painted.items() if colour == OTHER] == names[:4]
    assert [painted[arm] for arm in names[4:]] == [f"c{i}" for i in range(8)]
    assert colours(names, Traffic())["arm0"] == "c0"


def test_a_step_that_nobody_rated_is_a_gap() -> None:
    rated = replace(ROW, status="rated", decisions=0, rated=4, reward=3.0, square=3.0)
    traffic = Traffic().add([ROW, rated], 1)
    mean, low, high = satisfaction(traffic, span("24h", traffic, NOON_S + 60))["series"]
    assert (mean["values"][-1], mean["values"][0]) == (0.75, None)
    assert low["values"][-1] < 0.75 < high["values"][-1] <= 1.0
    assert low["values"][0] is None
