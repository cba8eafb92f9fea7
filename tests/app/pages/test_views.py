"""The pages as they are sent: the figures of the log, nothing as markup or from elsewhere."""

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.figures import dollars
from app.processes.orphan import PARENT
from tests.app.hostile_rows import EVIL, as_they_are
from tests.app.pages.test_sign_in import HOME, PAGES, token_on
from tests.app.running import Provider, Running, running

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def used(shared: Running) -> Running:
    """A service that has answered, and was rated."""
    for i in range(6):
        answer = shared.ask(f"What is {i} + {i}?", task="maths")
        shared.rate(answer["id"], "up" if i else "down", comment="was <i>fine</i>")
    return shared


def page(service: Running, path: str) -> str:
    answer = service.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def send(service: Running, form: str, path: str, **fields: str) -> TestResponse:
    token = token_on(service.client.get(form))
    return service.client.post(path, data={"token": token, **fields}, headers=HOME)


@pytest.mark.parametrize("path", [*PAGES, "/pages/static/pages.css", "/pages/nothing"])
def test_a_page_may_load_nothing_but_our_own_files(used: Running, path: str) -> None:
    answer = used.client.get(path)
    answer.close()
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["uPlot.iife.min.js", "uPlot.min.css"])
def test_what_is_kept_of_a_library_is_what_was_released(name: str) -> None:
    kept = sha256((ROOT / "app/pages/static/uplot" / name).read_bytes()).hexdigest()
    row = next(
        line for line in (ROOT / "docs/dependencies.md").read_text().splitlines() if name in line
    )
    assert kept in row
    assert "MIT" in (ROOT / "app/pages/static/uplot/LICENSE").read_text()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_holds_no_script_or_style_of_its_own(used: Running, path: str) -> None:
    text = page(used, path)
    assert re.findall(r"<script(?![^>]* src=)[^>]*>", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", text) == []
    assert used.client.get(path).headers["cache-control"] == "no-store"
    linked = re.findall(r'(?:src|href|action)="([^"]+)"', text)
    assert [link for link in linked if not link.startswith(("/", "#"))] == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_without_any_traffic_tells_the_next_step(service: Running, path: str) -> None:
    text = page(service, path)
    if path not in {"/pages/settings", "/pages/retrains"}:
        assert "curl http://localhost/complete" in text
        assert "./run demo" in text
    if path == "/pages/retrains":
        assert "./run import" in text
    if path == "/pages/policy":
        assert "learned up to event 1 of the log" in text


@pytest.mark.parametrize("path", ["/", "/pages/policy"])
def test_a_span_that_is_none_is_refused(used: Running, path: str) -> None:
    answer = used.client.get(f"{path}?span=nonsense")
    assert answer.status_code == 400
    assert "must be one of 1h, 24h, 7d, 30d" in answer.text


def test_today_tells_what_was_spent_and_rated(used: Running) -> None:
    total = used.parts.traffic.now().total()
    text = page(used, "/")
    assert dollars(total.cost_usd) in text
    assert "83.3 %" in text
    assert f"from {total.rated} ratings" in text
    report = used.get("/report?since=7d")
    assert "Saved, 7 days" in page(used, "/?span=7d")
    assert report["rules"][0]["rule"] in page(used, "/?span=7d")


def test_the_policy_page_tells_every_arm_and_task(used: Running) -> None:
    text = page(used, "/pages/policy")
    for arm in used.parts.catalogue().arms:
        assert arm in text
    assert f"on the last {len(used.parts.log.recent(200))} prompts, at what" in text
    assert "/pages/decisions?task=maths" in text


@pytest.mark.parametrize("pay", ["0.000001", "0.01", "100"])
def test_the_slider_is_told_what_another_price_would_do(used: Running, pay: str) -> None:
    told = used.get(f"/pages/policy/at?pay={pay}")
    assert sum(each["share"] for each in told["shares"]) == pytest.approx(1.0)
    assert told["cost_usd_per_request"] > 0


def test_a_dearer_thumb_buys_no_worse_answers(used: Running) -> None:
    cheap, dear = (used.get(f"/pages/policy/at?pay={pay}") for pay in ("0.00001", "10"))
    assert dear["quality"] >= cheap["quality"]
    assert used.get("/pages/policy/at?pay=0.01")["says"] == "As it is now."


@pytest.mark.parametrize("pay", ["", "nan", "-1", "inf", "1e99", "<b>"])
def test_a_price_that_is_none_is_refused(used: Running, pay: str) -> None:
    answer = used.client.get("/pages/policy/at", query_string={"pay": pay})
    assert answer.status_code == 400
    assert "pay is" in answer.text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("rated=sideways", "rated is"),
        ("ending=badly", "ending is"),
        ("kind=mine", "kind is"),
        ("least_usd=much", "least_usd is"),
        ("least_usd=nan", "least_usd is"),
        ("before=yesterday", "before is"),
        ("before=nan_", "before is"),
    ],
)
def test_a_filter_that_is_none_is_refused(used: Running, query: str, says: str) -> None:
    answer = used.client.get(f"/pages/decisions?{query}")
    assert answer.status_code == 400
    assert says in answer.text


@pytest.mark.parametrize("query", ["endpoint=x", "_method=POST", "_scheme=javascript", "utm=x"])
def test_what_an_address_has_besides_filters_is_in_no_link(used: Running, query: str) -> None:
    text = page(used, f"/pages/decisions?task=maths&{query}&before=9e9_")
    assert 'href="/pages/decisions?task=maths">← Newest' in text


def test_a_decision_is_found_by_its_id_and_told(used: Running) -> None:
    [newest, *_] = used.parts.log.recent(200)[::-1]
    answer = used.client.get("/pages/decisions", query_string={"id": f" {newest.id} "})
    assert answer.location == f"/pages/decisions/{newest.id}"
    text = page(used, answer.location)
    assert newest.arm in text
    assert "was &lt;i&gt;fine&lt;/i&gt;" in text
    assert used.client.get("/pages/decisions/tp-nobody").status_code == 404


def test_a_thumb_given_on_the_page_is_learned(used: Running) -> None:
    answer = used.ask("What is 40 + 2?", task="maths")
    there = f"/pages/decisions/{answer['id']}"
    before = used.get("/policy")["counts"]["rated"]
    assert send(used, there, f"{there}/thumbs", thumbs="up").status_code == 303
    assert used.get("/policy")["counts"]["rated"] == before + 1
    assert used.get(f"/decisions/{answer['id']}")["reward"] == 1.0
    assert send(used, there, f"{there}/thumbs", thumbs="neutral").status_code == 303
    assert used.get(f"/decisions/{answer['id']}")["reward"] is None
    assert send(used, there, f"{there}/thumbs", thumbs="sideways").status_code == 400


@pytest.mark.parametrize(
    "version", ["", "one", "-1", "0", "99", "9" * 5_000], ids=lambda version: version[:9]
)
def test_there_is_no_going_back_to_what_never_was(used: Running, version: str) -> None:
    page_with_form = f"/pages/decisions/{used.parts.log.recent(1)[0].id}"
    answer = send(used, page_with_form, "/pages/retrains/back", version=version)
    assert answer.status_code == 400
    assert "9" * 99 not in answer.text


def test_settings_show_no_secret(tmp_path: Path, provider: Provider) -> None:
    dials: dict[str, Any] = {"api_key": "correct-horse-battery", "sandbox_url": provider.url}
    with running(tmp_path, **dials) as service:
        headers = {"authorization": "Bearer correct-horse-battery"}
        text = service.client.get("/pages/settings", headers=headers).text
        assert "TURNPIKE_API_KEY" in text
        assert "correct-horse" not in text


def test_what_is_derived_is_not_said_to_be_set(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PARENT, "1")  # as `serve` starts it
    given = {"sandbox": "on", "sandbox_url": provider.url, "data": tmp_path}
    with running(tmp_path, **given) as service:
        text = page(service, "/pages/settings")
    tags = dict(re.findall(r"<code>(TURNPIKE_\w+)</code></th>.*?(>set<|>derived<|</td>)", text))
    assert {name for name, tag in tags.items() if tag == ">derived<"} == {
        "TURNPIKE_DATABASE", "TURNPIKE_DATA", "TURNPIKE_SANDBOX", "TURNPIKE_SANDBOX_URL",
    }  # fmt: skip
    assert {name for name, tag in tags.items() if tag == ">set<"} == {"TURNPIKE_SPOOL_BYTES"}


def test_the_doctor_says_in_the_page_what_it_says_in_the_terminal(used: Running) -> None:
    text = page(used, "/pages/settings/findings")
    assert "rated decisions" in text
    assert '<nav aria-label="Pages">' in text
    assert used.parts.file.current().arms


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    """A service whose prompts, tasks, arms, models, raters, comments and errors are all markup."""
    with running(tmp_path_factory.mktemp("hostile"), sandbox_url=provider.url) as made:
        made.ask(EVIL)
        as_they_are(made)
        yield made


def test_markup_in_what_comes_from_outside_is_text(hostile: Running) -> None:
    [first, *_] = hostile.parts.log.recent(9)
    for path in (*PAGES, f"/pages/decisions/{first.id}"):
        text = page(hostile, path)
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "<svg/onload" not in text
        assert "&gt;49" not in text
