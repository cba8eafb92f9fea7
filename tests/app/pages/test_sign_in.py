"""Who gets in to the pages, and which forms are taken: only those that a page of ours has sent."""

import io
import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.api.access import SESSION
from tests.app.running import Provider, Running, running

KEY = "correct-horse-battery"
HOME = {"origin": "http://localhost"}
PAGES = ("/", "/pages/policy", "/pages/decisions", "/pages/retrains", "/pages/settings")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("locked")
    with running(folder, sandbox_url=provider.url, api_key=KEY) as made:
        yield made


@pytest.fixture
def browser(locked: Running) -> FlaskClient:
    """A browser that has not been here yet."""
    client: FlaskClient = locked.client.application.test_client()
    return client


def token_on(page: TestResponse) -> str:
    found = re.search('name="token" value="([^"]+)"', page.text)
    assert found is not None
    return found.group(1)


def send(browser: FlaskClient, form: str, path: str, **fields: str) -> TestResponse:
    """Send a form as a browser does that has it from a page of ours."""
    token = token_on(browser.get(form))
    return browser.post(path, data={"token": token, **fields}, headers=HOME)


def sign_in(browser: FlaskClient, key: str = KEY, then: str = "/") -> TestResponse:
    return send(browser, "/pages/sign-in", "/pages/sign-in", key=key, then=then)


@pytest.mark.parametrize("path", [*PAGES, "/pages/policy/at?pay=1", "/pages/settings/findings"])
def test_whoever_has_not_signed_in_is_asked_for_a_key(browser: FlaskClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 303
    assert answer.location.startswith("/pages/sign-in?then=")
    assert "Turnpike" in browser.get(answer.location).text


def test_the_key_opens_every_page_and_the_cookie_holds_none_of_it(browser: FlaskClient) -> None:
    answer = sign_in(browser, then="/pages/policy")
    assert (answer.status_code, answer.location) == (303, "/pages/policy")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert KEY not in cookie
    assert [browser.get(path).status_code for path in PAGES] == [200] * len(PAGES)


def test_the_report_can_be_saved_by_whoever_has_signed_in(browser: FlaskClient) -> None:
    links = ("/pages/report.csv?since=7d", "/pages/report.json?since=7d")
    assert [browser.get(link).status_code for link in links] == [303, 303]
    sign_in(browser)
    text = browser.get("/pages/report?since=7d").text
    assert [link for link in links if f'href="{link}"' in text] == list(links)
    table, told = (browser.get(link) for link in links)
    with_key = {"authorization": f"Bearer {KEY}"}
    assert table.text == browser.get("/report?since=7d&format=csv", headers=with_key).text
    assert table.headers["content-disposition"] == "attachment; filename=turnpike-7d.csv"
    assert told.json is not None
    assert told.json["period"] == "7d"
    assert browser.get("/pages/report.csv?since=3d").status_code == 400


def test_another_key_opens_nothing(browser: FlaskClient) -> None:
    answer = sign_in(browser, key="wrong-horse-battery")
    assert answer.status_code == 401
    assert "That is no key" in answer.text
    assert "keys create" in answer.text
    assert browser.get("/").status_code == 303


def test_keys_cannot_be_guessed_here_faster_than_in_a_header(browser: FlaskClient) -> None:
    token, told = token_on(browser.get("/pages/sign-in")), []

    def give(key: str) -> TestResponse:
        return browser.post(
            "/pages/sign-in",
            data={"token": token, "key": key},
            headers=HOME,
            environ_overrides={"REMOTE_ADDR": "10.0.0.9"},
        )

    for n in range(10):
        told.append(give(f"wrong {n}").status_code)
        wrong, far = {"authorization": f"Bearer tpk_{n}"}, {"REMOTE_ADDR": "10.0.0.9"}
        told.append(browser.get("/policy", headers=wrong, environ_overrides=far).status_code)
    assert told == [401] * 20
    refused = give("wrong again")
    assert (refused.status_code, refused.mimetype) == (429, "text/html")
    assert "20 wrong keys came from your address within a minute" in refused.text
    assert sign_in(browser, key="wrong from elsewhere").status_code == 401
    assert give(KEY).status_code == 303


def test_a_cookie_that_was_made_up_or_has_ended_opens_nothing(
    browser: FlaskClient, locked: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.keys.keyring.SESSION_S", -1)
    sign_in(browser)
    assert browser.get("/").status_code == 303
    browser.set_cookie(SESSION, "settings-1234.9999999999.AAAA")
    assert browser.get("/").status_code == 303


def test_whoever_has_signed_in_is_not_asked_again(browser: FlaskClient) -> None:
    sign_in(browser)
    answer = browser.get("/pages/sign-in?then=/pages/policy")
    assert (answer.status_code, answer.location) == (303, "/pages/policy")


def test_what_a_proxy_asks_for_beside_it_is_no_key(browser: FlaskClient) -> None:
    basic = {"authorization": "Basic YTpi"}
    assert browser.get("/", headers=basic).location.startswith("/pages/sign-in")
    sign_in(browser)
    assert browser.get("/", headers=basic).status_code == 200
    wrong = {"authorization": "Bearer tpk_wrong"}
    assert browser.get("/", headers=wrong).location.startswith("/pages/sign-in")
    assert browser.get("/pages/sign-in", headers=wrong).status_code == 200


def test_where_there_is_no_page_only_who_has_signed_in_is_shown_the_way_around(
    browser: FlaskClient,
) -> None:
    before = browser.get("/pages/nothing")
    sign_in(browser)
    after = browser.get("/pages/nothing")
    assert (before.status_code, after.status_code) == (404, 404)
    for part in ("Sign out", '<nav aria-label="Pages">'):
        assert (part in before.text, part in after.text) == (False, True)


def test_signing_out_ends_the_session(browser: FlaskClient) -> None:
    sign_in(browser)
    assert send(browser, "/", "/pages/sign-out").status_code == 303
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize(
    ("then", "goes_to"),
    [
        ("/pages/decisions?arm=gpt-4o", "/pages/decisions?arm=gpt-4o"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nx: y", "/"),
        ("/a\tb", "/"),
        ("", "/"),
    ],
)
def test_after_signing_in_one_stays_here(browser: FlaskClient, then: str, goes_to: str) -> None:
    assert sign_in(browser, then=then).location == goes_to


def test_a_line_end_in_where_to_go_does_not_hide_that_the_key_is_wrong(
    browser: FlaskClient,
) -> None:
    answer = sign_in(browser, key="wrong-horse-battery", then="/a\r\nx: y")
    assert answer.status_code == 401


def test_a_link_from_another_site_comes_again_with_its_cookie(browser: FlaskClient) -> None:
    answer = browser.get("/pages/policy?span=7d", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'content="0; url=/pages/policy?span=7d"' in answer.text


def test_the_api_takes_no_cookie(browser: FlaskClient) -> None:
    sign_in(browser)
    assert browser.get("/policy").status_code == 401
    assert browser.get("/report?format=csv").status_code == 401
    assert browser.post("/feedback", json={"id": "tp-1", "thumbs": "up"}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost"},
        {},
    ],
)
def test_a_form_of_another_site_is_refused(browser: FlaskClient, headers: dict[str, str]) -> None:
    sign_in(browser)
    token = token_on(browser.get("/"))
    for path in ("/pages/retrains/back", "/pages/decisions/tp-1/thumbs", "/pages/sign-out"):
        assert browser.post(path, data={"token": token}, headers=headers).status_code == 403


def test_a_form_that_comes_through_a_proxy_that_takes_tls_is_taken(browser: FlaskClient) -> None:
    sign_in(browser)
    by_tls = {"origin": "https://turnpike.example", "sec-fetch-site": "same-origin"}
    told = {"token": token_on(browser.get("/")), "version": "99"}
    answers = [
        browser.post(path, data=told, headers=by_tls)
        for path in ("/pages/retrains/back", "/pages/decisions/tp-1/thumbs", "/pages/sign-out")
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 303]


def test_a_form_without_the_token_of_its_session_is_refused(browser: FlaskClient) -> None:
    before = token_on(browser.get("/pages/sign-in"))
    sign_in(browser)
    for token in ("", "wrong", before):
        answer = browser.post("/pages/retrains/back", data={"token": token}, headers=HOME)
        assert answer.status_code == 403
        assert "load the page anew" in answer.text


@pytest.mark.parametrize("is_told", [True, False])
def test_no_file_is_taken_with_a_form_whether_its_length_is_told_or_not(
    browser: FlaskClient, is_told: bool
) -> None:
    head = b'--b\r\ncontent-disposition: form-data; name="key"; filename="f"\r\n\r\n'
    sent = io.BytesIO(head + bytes(2**20) + b"\r\n--b--\r\n")
    answer = browser.post(
        "/pages/sign-in",
        input_stream=sent,
        content_type="multipart/form-data; boundary=b",
        content_length=len(sent.getvalue()) if is_told else None,
        headers=HOME,
        environ_base={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert sent.tell() < 2**18


def test_without_a_key_no_foreign_name_leads_here(shared: Running) -> None:
    answer = shared.client.get("/", headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert answer.mimetype == "text/html"
    assert "TURNPIKE_API_KEY" in answer.text


def test_without_a_key_a_foreign_form_is_refused_all_the_same(shared: Running) -> None:
    for headers in ({}, {"origin": "https://evil.example"}, HOME):
        given = {"token": "made up", "version": "1"}
        answer = shared.client.post("/pages/retrains/back", data=given, headers=headers)
        assert answer.status_code == 403
