"""The report over HTTP, on paper and from the command line, of logs whose bills are known."""

import csv
import io
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from app.commands import report_command
from app.commands.cli import main
from app.commands.report_command import _keep
from app.monitoring import reporting
from app.monitoring.reporting import as_csv, as_text, is_awaited
from jobs import report
from jobs.report import reports
from policy.errors import NotReady
from policy.types import DAY_S
from tests.app.monitoring.test_lookout import DECIDED
from tests.app.running import Provider, Running, catalogue, eventually, running
from tests.jobs.test_report import ARMS, NOW_S, Logged, a_month
from tests.storage.rounds import OUTCOME, but

ARM_TABLES = {
    "cheap": {"model": "zhipuai/GLM-4-Plus", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0},
    "dear": {"model": "openai/gpt-4o", "input_usd_per_mtok": 10.0, "output_usd_per_mtok": 10.0},
}


DIALS = {"control_share": 0.5, "willingness_to_pay_usd": 1e-6}


@pytest.fixture
def priced(tmp_path: Path, provider: Provider) -> Any:
    path = catalogue(tmp_path, provider.url, ARM_TABLES)
    with running(tmp_path, arms=path, sandbox="off", **DIALS) as service:
        yield service


def asked(service: Running, n: int = 60) -> None:
    for i in range(n):
        made = service.ask(f"What is {i} + 4?", task="maths" if i % 2 else "support")
        if i % 3 == 0:
            service.rate(made["id"], "up")


@pytest.mark.slow
def test_the_report_adds_up_what_the_log_holds(priced: Running) -> None:
    asked(priced)
    made = priced.get("/report?since=1d")
    assert made["requests"] == 60
    assert made["baseline"] == "dear"
    assert made["spent_usd"] == pytest.approx(priced.parts.log.spend_usd(0.0))
    assert made["satisfaction"]["rated"] == 20
    assert made["age_s"] < 60
    total = made["rules"][0]["total"]
    # The sandbox's arms answer a sum at the same length, and the baseline costs ten times as much.
    assert total["why_not"] is None
    assert 0 < total["low_usd"] < total["saved_usd"] < total["high_usd"]
    again = priced.client.get("/report?since=1d&format=csv")
    assert again.content_type.startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(again.text)))
    [row] = [row for row in table if (row["section"], row["name"]) == ("always dear", "total")]
    assert float(row["saved_usd"]) == pytest.approx(total["saved_usd"])
    page = priced.client.get("/pages/report?since=1d").text
    assert "What was saved" in page
    assert "always dear" in page
    assert page.count("the baseline itself") == 1


def test_a_report_of_nothing_is_a_report(service: Running) -> None:
    made = service.get("/report")
    assert (made["period"], made["requests"]) == ("30d", 0)
    page = service.client.get("/pages/report").text
    for rule in made["rules"]:
        assert rule["total"]["why_not"] == "nothing was asked that could be compared"
    assert page.count("nothing was asked that could be compared") == len(made["rules"])


@pytest.mark.parametrize(
    "query", ["since=2d", "since=", "format=xml", "until=1d", "since=1d&since=7d"]
)
def test_what_is_asked_wrong_is_told(service: Running, query: str) -> None:
    answer = service.client.get(f"/report?{query}")
    assert answer.status_code == 400
    assert answer.json["error"]["param"] == query.partition("=")[0]


def test_a_page_of_a_period_that_is_none_is_told(service: Running) -> None:
    assert service.client.get("/pages/report?since=3d").status_code == 400
    assert service.client.get("/pages/report.csv?since=1d&since=7d").status_code == 400


def test_a_long_log_is_reported_by_the_job_and_shown_with_its_age(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.ask()
    monkeypatch.setattr(reporting, "AT_ONCE", 0)
    early = service.client.get("/report")
    assert early.status_code == 503
    assert early.json["error"]["code"] == "not_ready"
    _keep(service.parts.settings)
    assert eventually(lambda: service.parts.log.latest("report") is not None)
    made = service.get("/report?since=7d")
    assert made["requests"] == 1
    service.ask("What is 1 + 1?")
    later = service.get("/report?since=7d")
    assert later["requests"] == 1
    assert later["age_s"] >= made["age_s"]
    _keep(service.parts.settings)
    assert eventually(lambda: service.get("/report?since=7d")["requests"] == 2)


def test_when_a_day_is_over_the_reports_of_the_next_are_made_at_once(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.ask()
    monkeypatch.setattr(reporting, "AT_ONCE", 0)
    log = service.parts.log
    assert is_awaited(log)
    _keep(service.parts.settings)
    assert eventually(lambda: log.latest("report") is not None)
    kept = log.latest("report")
    assert kept is not None
    midnight_s = kept.at_s // DAY_S * DAY_S + DAY_S
    for now_s, awaited in ((midnight_s - 1, False), (midnight_s + 1, True)):
        monkeypatch.setattr(reporting, "time", SimpleNamespace(time=lambda now_s=now_s: now_s))
        assert is_awaited(log) is awaited


def answered(service: Running, tenant: str, n: int) -> None:
    for i in range(n):
        identity, at_s = f"{tenant}-{i}", time.time() - 60
        service.parts.log.decide(but(DECIDED, id=identity, tenant=tenant, decided_at_s=at_s))
        service.parts.log.settle(but(OUTCOME, decision_id=identity, at_s=at_s)).wait()


def test_a_report_that_was_begun_before_somebody_was_forgotten_is_not_kept(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "AT_ONCE", 0)
    answered(service, "acme", 1)

    def made(*about: Any, hidden: bool) -> Any:
        found = add_up(*about, hidden=hidden)
        service.parts.log.receive("f", "forget", time.time(), []).wait()
        return found

    add_up = report_command._made
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(report_command, "_made", made)
        _keep(service.parts.settings)
    assert service.parts.log.latest("report") is None
    _keep(service.parts.settings)
    assert service.parts.log.latest("report") is not None


def test_beside_a_long_log_a_tenant_of_whom_nothing_is_kept_has_its_report_at_once(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "AT_ONCE", 3)
    monkeypatch.setattr(report, "MOST_TENANTS", 1)
    for tenant, n in (("large", 9), ("medium", 5), ("small", 3)):
        answered(service, tenant, n)
    _keep(service.parts.settings)
    assert eventually(lambda: service.parts.log.latest("report") is not None)
    found = {who: service.parts.reports.of("7d", who) for who in (None, "large", "small", "new")}
    assert [each["requests"] for each in found.values()] == [17, 9, 3, 0]
    assert 0 <= found["new"]["age_s"] < 5
    with pytest.raises(NotReady, match="more than 5000 in this time: ask for a shorter one"):
        service.parts.reports.of("7d", "medium")


def a_report() -> dict[str, Any]:
    rows, _ = a_month(600)
    hostile = [each._replace(task='@cmd|"calc"!A1') for each in rows[:300]]
    return reports(Logged([*hostile, *rows[300:]]), ARMS, None, NOW_S)[""]["30d"]


def of_every_line() -> dict[str, Any]:
    """A report of requests that were compared, pinned, lost, given again, or only for one arm."""
    rows, _ = a_month(600)
    alone = {"eligible": ("cheap",), "propensities": (1.0,), "predicted_usd": (0.001,)}
    changes: list[dict[str, Any]] = [
        {"kind": "pinned"},
        {"status": "error", "cost_usd": 0.004},
        alone | {"arm": "cheap", "quality": (0.8,)},
        {"kind": "cached", "cache": "hit", "cost_usd": 0.0, "first_eligible": ("cheap", "dear")},
    ]
    changes[3]["first_predicted_usd"] = (0.001, 0.01)
    odd = [each._replace(**changes[i % 4]) for i, each in enumerate(rows[:100])]
    return reports(Logged([*odd, *rows[100:]]), ARMS, None, NOW_S)[""]["30d"]


def test_the_lines_of_the_csv_add_up_to_what_was_asked_and_spent() -> None:
    made = of_every_line()
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    table = {(row["section"], row["name"]): row for row in rows}
    asked = table["lines", "asked"]
    for rule in ("always dear", "word count"):
        parts = [("lines", "pinned"), ("lines", "not delivered")]
        parts += [(rule, "no such choice"), (rule, "total")]
        for column in ("requests", "spent_usd"):
            added = sum(float(table[part][column]) for part in parts)
            assert added == pytest.approx(float(asked[column])), (rule, column)
        stored = table[rule, "stored answers"]
        assert stored["requests"] == table["lines", "stored answers"]["requests"] == "25"
    assert float(table["always dear", "stored answers"]["would_have_cost_usd"]) > 0
    assert table["always dear", "no such choice"]["requests"] == "25"
    [told] = [line.split() for line in as_text(made) if line.startswith("no such choice ")]
    assert told[3] == "25"
    assert "another arm waited for its tools" in " ".join(told)
    for part in ("tasks", "arms"):  # which add up to the line `total`, not to `asked`
        head = f"{part} against always dear, of what is compared: what was spent and saved"
        assert head in list(as_text(made))
        spent = sum(row["spent_usd"] for row in made["rules"][0][part])
        assert spent == pytest.approx(float(table["always dear", "total"]["spent_usd"]))


def test_satisfaction_stands_in_no_column_of_dollars_or_requests(priced: Running) -> None:
    asked(priced)
    said = priced.get("/report?since=1d")["satisfaction"]["ours"]
    text = priced.client.get("/report?since=1d&format=csv").text
    table = list(csv.DictReader(io.StringIO(text)))
    told = [row for row in table if row["section"] == "satisfaction"]
    added = [name for name in table[0] if name.endswith("_usd") or name == "requests"]
    assert [row["name"] for row in told] == ["ours", "baseline", "more_than_baseline"]
    assert {row[name] for row in told for name in added} == {""}
    assert told[0]["rated"] == "20"
    for figure in ("mean", "low", "high"):
        assert float(told[0][figure]) == pytest.approx(said[figure])
    assert not any(row["mean"] or row["rated"] for row in table if row not in told)


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    names = [row["name"] for row in csv.DictReader(io.StringIO(as_csv(a_report())))]
    assert '\'@cmd|"calc"!A1' in names
    assert not [name for name in names if name.startswith(("=", "+", "-", "@"))]


def test_the_terminal_is_told_the_same_in_words() -> None:
    told = list(as_text(a_report()))
    assert told[2].startswith("saved      against always dear: $")
    assert told[told.index("satisfied  0 of 600 answers rated: not shown") + 1] == (
        "           nobody has rated an answer yet"
    )
    [own] = [line for line in told if line.startswith("dear ")]
    assert own.endswith("the baseline itself")


def test_one_request_is_told_as_one(service: Running) -> None:
    service.rate(service.ask()["id"])
    assert "on 1 request</span>" in service.client.get("/pages/report").text
    assert "from 1 rating</span>" in service.client.get("/").text
    assert next(as_text(service.get("/report"))).endswith(", 1 request")


def test_the_terminal_is_told_once_why_a_saving_is_not_shown() -> None:
    rows, _ = a_month(600, share=0.005)
    told = list(as_text(reports(Logged(rows), ARMS, None, NOW_S)[""]["30d"]))
    assert told[2] == "saved      against always dear: not shown"
    assert "they count as 3.0, and 10 are needed, which takes about" in told[3]
    assert sum("they count as" in line for line in told) == 1
    [cheap] = [line for line in told if line.startswith("cheap ")]
    assert cheap.endswith("not shown")


@pytest.mark.slow
def test_the_command_reports_a_log_without_a_service(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        service.ask()
    monkeypatch.setenv("TURNPIKE_DATABASE", str(tmp_path / "turnpike.db"))
    monkeypatch.setenv("TURNPIKE_SANDBOX", "off")
    monkeypatch.setenv("GLOBAL_API_KEY", "none")
    told = CliRunner().invoke(main, ["report", "--since", "7d", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["requests"] == 1
    assert CliRunner().invoke(main, ["report", "--csv"]).stdout.startswith("section,name,")
    assert CliRunner().invoke(main, ["report"]).stdout.startswith("30d since ")
    assert CliRunner().invoke(main, ["report", "--since", "2d"]).exit_code == 2


def test_a_page_that_is_looked_at_again_and_again_adds_up_twice_a_minute(
    priced: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(priced, 2)
    first = priced.parts.reports.lately("7d", None)
    asked(priced, 1)
    assert priced.parts.reports.lately("7d", None) == first
    monkeypatch.setattr(reporting, "LATELY_S", 0.0)
    assert priced.parts.reports.lately("7d", None)["requests"] == first["requests"] + 1
