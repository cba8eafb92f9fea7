"""The savings report as it is asked for: made at once of a short log, else the last one made.

A long log takes seconds to add up, which is a job's work (`python -m app report --keep`); its
result lies in the log, and is shown with its age.
"""

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.figures import count, counted, dollars, moment, percent
from app.processes.loop import beside
from jobs.report import EVERYBODY, MOST_TENANTS, PERIODS, begins_s, reports
from policy.errors import NotReady
from storage.log import Log
from storage.reader import LogReader
from upstream.catalogue import Catalogue

NAME = "report"
AT_ONCE = 5_000
"""Decisions that are added up while somebody waits; it takes a third of a second."""
COLUMNS = (
    "section", "name", "requests", "spent_usd", "would_have_cost_usd", "saved_usd", "low_usd",
    "high_usd", "rated", "mean", "low", "high", "why_not",
)  # fmt: skip
LONGEST = max(PERIODS, key=PERIODS.__getitem__)
LATELY_S = 30.0
NOT_YET = (
    "the report of so long a log is made by the scheduler, and not made yet: ask again in a minute"
)
TOO_MANY = (
    f"reports are kept of the {MOST_TENANTS} tenants with the most requests, this is none of them, "
    f"and has had more than {AT_ONCE} in this time: ask for a shorter one"
)
NO_SUCH_CHOICE = (
    "{} could not be asked, or another arm waited for its tools: counted alike on both sides"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""

Report = Mapping[str, Any]
Made = Mapping[str, Mapping[str, Report]]
Period = Literal["1d", "7d", "30d", "90d"]


class ReportQuery(BaseModel):
    """Which report, and in what form."""

    model_config = ConfigDict(extra="forbid")

    since: Period = Field("30d", description="Whole days (UTC), today among them.")
    format: Literal["json", "csv"] = Field("json", description="The form it comes in.")


class Reports:
    """The reports of a running service."""

    def __init__(self, log: Log, catalogue: Callable[[], Catalogue], named: str | None) -> None:
        self._log = log
        self._catalogue = catalogue
        self._named = named
        self._lately: dict[tuple[str, str | None], tuple[float, dict[str, Any]]] = {}

    def lately(self, period: str, tenant: str | None) -> dict[str, Any]:
        """Return the same, half a minute old at most: for a page that is looked at again and again.

        raises : NotReady, StoreUnavailable
        """
        now_s = time.time()
        asked_at_s, made = self._lately.get((period, tenant), (0.0, {}))
        if not 0 <= now_s - asked_at_s < LATELY_S:
            made = self.of(period, tenant)
            self._lately[period, tenant] = now_s, made
        return made

    def of(self, period: str, tenant: str | None) -> dict[str, Any]:
        """Return the report of a period, for one tenant or for all.

        raises : NotReady where it is too much to add up at once and not kept; StoreUnavailable
        """
        now_s = time.time()
        found = self._found(period, tenant, now_s)
        return {**found, "age_s": now_s - found["until_s"]}

    def _found(self, period: str, tenant: str | None, now_s: float) -> Report:
        since_s, whose = begins_s(period, now_s), tenant or EVERYBODY
        if self._log.decided_since(since_s) <= AT_ONCE:
            return beside(lambda: self._at_once(period, tenant, now_s))
        kept = self._log.latest(NAME)
        if kept is not None and whose in kept.body:
            found: Report = kept.body[whose][period]
            return found
        if tenant and beside(lambda: self._has_few(tenant, since_s, now_s)):
            return beside(lambda: self._at_once(period, tenant, now_s))
        raise NotReady(NOT_YET if kept is None else TOO_MANY)

    def _has_few(self, tenant: str, since_s: float, now_s: float) -> bool:
        rows = self._log.spending(since_s, now_s, tenant)
        return sum(1 for _ in islice(rows, AT_ONCE + 1)) <= AT_ONCE

    def _at_once(self, period: str, tenant: str | None, now_s: float) -> Report:
        arms = list(self._catalogue().arms.values())
        made: Made = reports(self._log, arms, self._named, now_s, [period], tenant)
        return made[tenant or EVERYBODY][period]


def is_long(log: LogReader, at_s: float) -> bool:
    """Return whether the reports of a log take a job to add up."""
    return log.decided_since(begins_s(LONGEST, at_s)) > AT_ONCE


def is_awaited(log: LogReader) -> bool:
    """Return whether reports of a log have to be made by a job, and none was made yet today.

    Those of yesterday begin a day too early, that "since midnight" with a day that is over.
    """
    latest, now_s = log.latest(NAME), time.time()
    is_todays = latest is not None and latest.at_s >= begins_s("1d", now_s)
    return not is_todays and is_long(log, now_s)


def as_csv(report: Mapping[str, Any]) -> str:
    """Return a report as one table, safe to open in a spreadsheet."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(COLUMNS)
    for section, row in _rows(report):
        name = str(row.get("name", row.get("line", "")))
        cells = [section, f"'{name}" if name.startswith(FORMULA) else name]
        table.writerow([*cells, *(_cell(row.get(column)) for column in COLUMNS[2:])])
    return written.getvalue()


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what a report says, row by row, each with the section it is in."""
    for line in report["lines"]:
        yield "lines", {**line, "spent_usd": line["usd"]}
    for rule in report["rules"]:
        total, none, stored = rule["total"], rule["no_such_choice"], rule["stored_answers"]
        yield rule["rule"], {**total, "name": "total"}
        yield rule["rule"], {**none, "name": "no such choice", "spent_usd": none["usd"]}
        why_not = total["why_not"] if stored["requests"] else None
        stored = {**stored, "name": "stored answers", "spent_usd": 0.0, "why_not": why_not}
        yield rule["rule"], stored
        for part in ("tasks", "arms"):
            for row in rule[part]:
                yield f"{rule['rule']}: {part}", row
    said = report["satisfaction"]
    for name in ("ours", "baseline", "more_than_baseline"):
        yield "satisfaction", {**said[name], "name": name}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def as_text(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a report for a terminal."""
    begun = moment(report["since_s"])
    yield f"{report['period']} since {begun}, {counted(report['requests'], 'requests')}"
    yield f"spent      {dollars(report['spent_usd'])}"
    for rule in report["rules"]:
        yield from _told(
            f"saved      against {rule['rule']}", _saving(rule["total"]), rule["total"]
        )
    yield from _satisfied(report["satisfaction"], report["baseline"])
    yield ""
    none = {"line": "no such choice", "says": NO_SUCH_CHOICE.format(report["baseline"])}
    for line in [*report["lines"], {**none, **report["rules"][0]["no_such_choice"]}]:
        figures = f"{count(line['requests']):>10} {dollars(line['usd']):>12}"
        yield f"{line['line']:15} {figures}  {line['says']}"
    first, own = report["rules"][0], _own(report)
    for part in ("tasks", "arms"):
        yield ""
        yield f"{part} against {first['rule']}, of what is compared: what was spent and saved"
        for row in first[part]:
            saved = "the baseline itself" if row is own else _saving(row)
            yield f"{row['name'][:40]:40} {dollars(row['spent_usd']):>12}  {saved}"
    yield ""
    if any(row["why_not"] for row in first["tasks"] + first["arms"] if row is not own):
        yield "a part that is not shown has too few bills, or may have saved nothing (--json)"
    if first["total"]["why_not"]:
        yield "what makes savings shown: TURNPIKE_CONTROL_SHARE, see docs/report.md"


def _own(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the row of the baseline among the arms that it is compared with."""
    arms = report["rules"][0]["arms"]
    return next((row for row in arms if row["name"] == report["baseline"]), None)


def _told(what: str, value: str, row: Mapping[str, Any]) -> Iterator[str]:
    """Yield a value, and under it why it is not shown."""
    yield f"{what}: {value}"
    if row["why_not"] is not None:
        yield f"           {row['why_not']}"


def _saving(row: Mapping[str, Any]) -> str:
    if row["why_not"] is not None:
        return "not shown"
    interval = f"{dollars(row['low_usd'])} to {dollars(row['high_usd'])}"
    return f"{dollars(row['saved_usd'])} ({interval}), {percent(row['saved_share'])}"


def _satisfied(said: Mapping[str, Any], baseline: str) -> Iterator[str]:
    rated = f"{count(said['rated'])} of {count(said['answered'])} answers rated"
    yield from _told(f"satisfied  {rated}", _mean(said["ours"]), said["ours"])
    yield f"           with {baseline}: {_mean(said['baseline'])}"
    more = said["more_than_baseline"]
    yield from _told(f"           more than with {baseline}", _mean(more, signed=True), more)


def _mean(row: Mapping[str, Any], *, signed: bool = False) -> str:
    if row["why_not"] is not None:
        return "not shown"
    form = "+.1%" if signed else ".1%"
    return f"{row['mean']:{form}} ({row['low']:{form}} to {row['high']:{form}})"
