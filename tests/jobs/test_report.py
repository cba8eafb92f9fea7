"""The report says what the sums say, for each tenant and period, and hides what it cannot tell."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.report import EVERYBODY, LINES, MOST_TENANTS, SHOWN_PARTS, begins_s, reports
from policy.types import Arm
from storage.records import Decision, Round
from storage.spending import Spending
from storage.sqlite_log import SqliteLog
from tests.jobs.spent import after, failed, row
from tests.storage.rounds import DECISION, NOON_S, OUTCOME, but

ARMS = [Arm("cheap", "p", "cheap", 1.0, 1.0, 8_000), Arm("dear", "p", "dear", 10.0, 10.0, 8_000)]
NOW_S = NOON_S + 3_600.0


class Logged:
    """A log that holds these rows and rounds."""

    def __init__(self, rows: list[Spending], rounds: list[Round] | None = None) -> None:
        self._rows = rows
        self._rounds = rounds or []

    def spending(
        self, since_s: float, until_s: float, tenant: str | None = None
    ) -> Iterator[Spending]:
        rows = (each for each in self._rows if since_s <= each.decided_at_s < until_s)
        return (each for each in rows if tenant in (None, each.tenant))

    def recent(self, _n: int) -> list[Decision]:
        return []

    def decisions(self, **_where: object) -> Iterator[Round]:
        return iter(self._rounds)


def a_month(n: int = 2_000, share: float = 0.1) -> tuple[list[Spending], float]:
    """Return rows of which a share went to the dear arm, and what was truly saved."""
    rng, made, saved = np.random.default_rng(0), [], 0.0
    for i in range(n):
        bill = 0.02 * rng.lognormal(0.0, 0.3)
        dear = rng.random() < share
        spent = bill if dear else bill / 10
        saved += bill - spent
        made.append(
            row(
                f"d{i}",
                i / 10,
                arm="dear" if dear else "cheap",
                cost_usd=spent,
                propensities=(1 - share, share),
                task="maths" if i % 4 else "support",
                tenant="shop" if i % 2 else "bank",
            )
        )
    return made, saved


def of(log: Logged, tenant: str = EVERYBODY, period: str = "30d") -> dict[str, Any]:
    return reports(log, ARMS, None, NOW_S)[tenant][period]


@pytest.mark.parametrize("periods", [["1d"], ["1d", "7d", "30d", "90d"]])
def test_a_request_that_goes_on_after_midnight_is_one_of_the_day_before(periods: list[str]) -> None:
    midnight_s = begins_s("1d", NOW_S) - NOON_S
    rows = [
        failed("late", midnight_s - 2, cost_usd=0.01),
        after("later", "late", midnight_s + 1, arm="dear", cost_usd=0.1),
        row("today", midnight_s + 60, cost_usd=0.02),
    ]
    later = but(DECISION, id="later", kind="fallback", decided_at_s=rows[1].decided_at_s)
    rounds = [Round(decision=later, outcome=OUTCOME, reward=1.0)]
    made = reports(Logged(rows, rounds), ARMS, None, NOW_S, periods)[EVERYBODY]["1d"]
    assert (made["requests"], made["spent_usd"]) == (1, 0.02)
    assert (made["satisfaction"]["answered"], made["satisfaction"]["rated"]) == (1, 0)
    assert {each["line"]: each["requests"] for each in made["lines"]}["pinned"] == 0


def test_what_was_truly_saved_is_in_the_interval() -> None:
    rows, saved = a_month()
    made = of(Logged(rows))
    assert made["baseline"] == "dear"
    assert made["requests"] == 2_000
    assert made["spent_usd"] == pytest.approx(sum(each.cost_usd for each in rows))
    total = made["rules"][0]["total"]
    assert total["low_usd"] < saved < total["high_usd"]
    assert total["saved_usd"] == pytest.approx(saved, rel=0.1)
    assert total["would_have_cost_usd"] == pytest.approx(total["spent_usd"] + total["saved_usd"])
    assert total["saved_share"] == pytest.approx(0.8, abs=0.1)
    assert {part["name"] for part in made["rules"][0]["tasks"]} == {"maths", "support"}
    arms = {part["name"]: part for part in made["rules"][0]["arms"]}
    assert set(arms) == {"cheap", "dear"}
    assert sum(part["requests"] for part in arms.values()) == total["requests"]
    assert sum(part["spent_usd"] for part in arms.values()) == pytest.approx(total["spent_usd"])
    assert arms["dear"]["saved_usd"] is None


def test_each_tenant_has_a_report_of_its_own_and_all_together_one() -> None:
    rows, _ = a_month()
    made = reports(Logged(rows), ARMS, None, NOW_S, ["7d"])
    assert set(made) == {EVERYBODY, "bank", "shop"}
    parts = [made[tenant]["7d"]["spent_usd"] for tenant in ("bank", "shop")]
    assert sum(parts) == pytest.approx(made[EVERYBODY]["7d"]["spent_usd"])


def test_whoever_waits_is_told_of_each_decision_and_rating_as_it_is_read() -> None:
    rows, _ = a_month(n=300)
    rated, told = [Round(decision=DECISION, outcome=OUTCOME, reward=1.0)] * 20, list[int]()
    made = reports(Logged(rows, rated), ARMS, None, NOW_S, ["7d"], told=told.append)
    assert (len(told), sum(told)) == (320, 320)
    assert made == reports(Logged(rows, rated), ARMS, None, NOW_S, ["7d"])


def test_of_many_tenants_those_with_the_most_requests_have_reports() -> None:
    rows = [row(f"d{n}", n / 10, tenant=f"team-{n % (MOST_TENANTS + 9):03}") for n in range(400)]
    rows += [row(f"z{n}", n / 10, tenant="zebra") for n in range(9)]
    made = reports(Logged(rows), ARMS, None, NOW_S, ["7d"])
    assert len(made) == 1 + MOST_TENANTS
    assert made["zebra"]["7d"]["requests"] == 9


def test_the_reports_of_one_tenant_are_made_of_its_own_rows_also_where_it_has_none() -> None:
    rows, _ = a_month()
    all_of_them = reports(Logged(rows), ARMS, None, NOW_S, ["7d"])
    made = reports(Logged(rows), ARMS, None, NOW_S, ["7d"], "bank")
    assert made == {"bank": all_of_them["bank"]}
    none = reports(Logged(rows), ARMS, None, NOW_S, ["7d"], "nobody")
    assert none["nobody"]["7d"]["requests"] == 0


def test_a_period_begins_at_midnight_and_holds_nothing_older() -> None:
    rows = [row("old", -5 * 86_400.0), row("new")]
    made = reports(Logged(rows), ARMS, None, NOW_S, ["1d", "7d"])[EVERYBODY]
    assert made["1d"]["requests"] == 1
    assert made["7d"]["requests"] == 2
    assert made["1d"]["since_s"] == begins_s("1d", NOW_S) <= NOON_S
    assert [day["requests"] for day in made["7d"]["days"]] == [1, 1]


def test_what_cannot_be_told_is_not_there_and_the_reason_is() -> None:
    rows, _ = a_month(share=0.0001)
    total = of(Logged(rows))["rules"][0]["total"]
    assert total["saved_usd"] is None
    assert total["would_have_cost_usd"] is None
    assert {total[name] for name in ("low_usd", "high_usd", "saved_share")} == {None}
    assert "hardly have gone" in total["why_not"]


def test_parts_are_told_the_largest_first_and_no_more_of_them_than_are_shown() -> None:
    tasks = [f"t{n:02}" for n in range(SHOWN_PARTS + 2) for _ in range(n + 1)] + [None] * 90
    rows = [row(f"d{n}", n, task=task) for n, task in enumerate(tasks)]
    rounds = [
        Round(decision=but(DECISION, task=task), outcome=OUTCOME, reward=1.0) for task in tasks
    ]
    made = of(Logged(rows, rounds))
    most = ["(none)", *(f"t{n:02}" for n in range(SHOWN_PARTS + 1, 2, -1))]
    assert [each["name"] for each in made["rules"][0]["tasks"]] == most
    said = made["satisfaction"]["tasks"]
    assert [each["name"] for each in said] == most
    assert [each["rated"] for each in said] == [90, *range(SHOWN_PARTS + 2, 3, -1)]
    assert {each["mean"] for each in said} == {1.0}


def test_every_line_is_there_and_says_what_it_is() -> None:
    made = of(Logged([row("a")]))
    assert [line["line"] for line in made["lines"]] == [name for name, _ in LINES]
    assert all(line["says"] for line in made["lines"])


def test_an_empty_log_gives_a_report_of_nothing() -> None:
    made = of(Logged([]))
    assert (made["requests"], made["spent_usd"]) == (0, 0.0)
    assert made["satisfaction"]["coverage"] is None
    assert made["rules"][0]["total"]["why_not"] is not None


def test_coverage_is_the_share_of_answers_that_were_rated() -> None:
    rows = [row(f"d{n}", n) for n in range(4)]
    rounds = [Round(decision=DECISION, outcome=OUTCOME, reward=1.0)]
    said = of(Logged(rows, rounds))["satisfaction"]
    assert (said["answered"], said["rated"], said["coverage"]) == (4, 1, 0.25)
    assert said["ours"]["mean"] == 1.0


def test_an_answer_that_its_reader_has_stopped_and_rated_counts_as_one() -> None:
    rows = [row(f"d{n}", n, status="client_gone") for n in range(4)]
    left = Round(decision=DECISION, outcome=but(OUTCOME, status="client_gone"), reward=1.0)
    said = of(Logged([*rows, row("whole", 5)], [left] * 4))["satisfaction"]
    assert (said["answered"], said["rated"], said["coverage"]) == (5, 4, 0.8)


def test_a_report_of_a_real_log_is_plain_json(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for n in range(20):
            log.decide(but(DECISION, id=f"d{n}", decided_at_s=NOON_S + n))
            log.settle(but(OUTCOME, decision_id=f"d{n}")).wait()
        log.rate("d1", "r", 1.0, at_s=NOON_S + 50, tenant="acme", window_s=1e9)
        made = reports(log, ARMS, "large", NOW_S)
    told = json.loads(json.dumps(made, allow_nan=False))
    assert told["acme"]["30d"]["requests"] == 20
    assert told["acme"]["30d"]["satisfaction"]["rated"] == 1
    assert told["acme"]["30d"]["rules"][0]["rule"] == "always large"
