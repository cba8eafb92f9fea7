"""Every view says what it needs, and nobody gets in who may not: the endpoint decides."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify

from app.api import access
from app.api.access import SESSION, needs, public, scope_of, who
from app.keys.holder import Scope
from app.keys.keyring import Keyring, digest
from app.keys.subkeys import Subkeys
from app.processes.wsgi import BLUEPRINTS
from app.routing.goals import goals
from app.settings import Settings
from policy.errors import TurnpikeError
from storage.keys import Revocation
from storage.sqlite_log import SqliteLog
from tests.app.running import SUM, Provider, Running, running
from tests.storage.rounds import NOON_S, but
from tests.storage.test_keys import PLAIN
from upstream.catalogue import load

KEY = "correct-horse-battery"
PUBLIC = {"operating.readyz", "turnpike.healthz", "turnpike.openapi"} | {
    f"pages.{name}"
    for name in ("static", "sign_in_form", "sign_in_with_key", "sign_out", "nothing_here")
}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("locked")
    with running(folder, sandbox_url=provider.url, api_key=KEY) as made:
        yield made


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_b4_every_endpoint_declares_its_scope_but_a_short_public_list() -> None:
    app = Flask(__name__, static_folder=None)
    for each in BLUEPRINTS:
        app.register_blueprint(each)
    views = app.view_functions
    undeclared = {name for name in views if not access.is_declared(views[name])}
    assert undeclared == set()
    assert {name for name in views if scope_of(views[name]) is None} == PUBLIC


@needs("read", cookie=True)
def page() -> Any:
    return jsonify(who().name)


@needs("read")
def data() -> Any:
    return jsonify(who().name)


def forgotten() -> Any:
    return jsonify("secret")


@public
def hello() -> Any:
    return jsonify("hello")


class Doors:
    """An application with a view of each kind, and a key with these scopes that opens it."""

    def __init__(self, log: SqliteLog, *scopes: Scope) -> None:
        self.log, self.key = log, f"tpk_{secrets.token_urlsafe(32)}"
        settings, subkeys = Settings.load({}), Subkeys(b"x" * 32)
        made = but(PLAIN, id=self.key[-8:], name=self.key, scopes=scopes)
        self.made = but(made, digest=digest(subkeys, self.key))
        assert log.receive(self.key, "key", NOON_S, [self.made]).wait()
        self.keyring = Keyring(settings, subkeys, log, goals(settings, load(settings.arms)))
        app = Flask(__name__)
        app.extensions["turnpike"] = self
        for view in (page, data, forgotten, hello):
            app.add_url_rule(f"/{view.__name__}", view_func=view, methods=["GET", "POST"])
        app.register_error_handler(TurnpikeError, lambda error: (type(error).__name__, 400))
        access.install(app)
        self.client = app.test_client()

    def told(self, path: str, method: str = "GET", **more: Any) -> str:
        return self.client.open(path, method=method, **more).text.strip().strip('"')

    def with_key(self, path: str) -> str:
        return self.told(path, headers=bearer(self.key))

    def sign_in(self) -> "Doors":
        session = self.keyring.session(self.keyring.holder(self.key))
        self.client.set_cookie(SESSION, session)
        return self


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        yield log


def test_a_forgotten_declaration_needs_an_operator(log: SqliteLog) -> None:
    assert Doors(log, "read", "complete").with_key("/forgotten") == "Forbidden"
    assert Doors(log, "admin").with_key("/forgotten") == "secret"


def test_b4_a_key_opens_what_its_scopes_name_and_nothing_else(log: SqliteLog) -> None:
    doors = Doors(log, "read")
    assert doors.with_key("/data") == doors.made.name
    assert doors.told("/data") == "Unauthenticated"
    assert doors.told("/hello") == "hello"
    assert Doors(log, "complete").with_key("/data") == "Forbidden"


def test_a_session_opens_pages_and_never_the_api(log: SqliteLog) -> None:
    doors = Doors(log, "read").sign_in()
    assert doors.told("/page") == doors.made.name
    assert doors.told("/data") == "Unauthenticated"


def test_m3_what_another_site_sends_with_our_cookie_is_refused(log: SqliteLog) -> None:
    doors = Doors(log, "read").sign_in()
    assert doors.told("/page", "POST", headers={"origin": "https://evil.example"}) == "Forbidden"
    assert doors.told("/page", "POST") == "Forbidden"
    own = {"origin": "http://localhost"}
    assert doors.told("/page", "POST", headers=own) == doors.made.name
    for site in ("cross-site", "same-site", "none"):
        foreign = own | {"sec-fetch-site": site}
        assert doors.told("/page", "POST", headers=foreign) == "Forbidden"
    by_tls = {"origin": "https://turnpike.example", "sec-fetch-site": "same-origin"}
    assert doors.told("/page", "POST", headers=by_tls) == doors.made.name


@pytest.mark.parametrize("cookie", ["", "k1.9999999999.x", "k1.99999999999", "x", "..", "a.b.c"])
def test_a_forged_session_opens_nothing(log: SqliteLog, cookie: str) -> None:
    doors = Doors(log, "read")
    doors.client.set_cookie(SESSION, cookie)
    assert doors.told("/page") == "Unauthenticated"


def test_a_session_ends_with_its_time_and_with_its_key(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors = Doors(log, "read").sign_in()
    with monkeypatch.context() as later:
        later.setattr("app.keys.keyring.time.time", lambda: 4e9)
        assert doors.told("/page") == "Unauthenticated"
    assert doors.told("/page") == doors.made.name
    log.receive("r", "revocation", NOON_S, [Revocation(key_id=doors.made.id, at_s=NOON_S)]).wait()
    doors.keyring.follow()
    assert doors.told("/page") == "Unauthenticated"


WRONG = [
    {},
    {"Authorization": ""},
    {"Authorization": KEY},
    {"Authorization": f"Basic {KEY}"},
    bearer(""),
    bearer(KEY[:-1]),
    bearer(KEY + "x"),
    bearer("x" * 10_000),
    bearer("\u00e9\u00fc"),
    bearer("' OR 1=1--"),
    bearer("\x00"),
]


@pytest.mark.parametrize("headers", WRONG)
def test_b1_without_the_key_nothing_is_told_but_that(
    locked: Running, headers: dict[str, str]
) -> None:
    missing = locked.client.post("/complete", json={"prompt": SUM}).json
    for method, path in (("GET", "/policy"), ("POST", "/complete"), ("GET", "/decisions/tp-1")):
        # From an address of its own, because many wrong keys from one are answered 429.
        address = {"REMOTE_ADDR": f"10.0.0.{WRONG.index(headers)}"}
        response = locked.client.open(
            path, method=method, headers=headers, environ_overrides=address
        )
        assert response.status_code == 401
        assert response.json == missing
        assert KEY not in response.text
    assert missing["error"]["type"] == "authentication_error"


def test_every_route_but_two_needs_the_key(locked: Running) -> None:
    app = locked.client.application
    opened = set()
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<decision_id>", "tp-1")
        [method] = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        vote = {"id": "tp-1", "thumbs": "up"} if method == "POST" else None
        answer = locked.client.open(path, method=method, json=vote)
        if answer.status_code != 401 and "/pages/sign-in?" not in (answer.location or ""):
            opened.add(rule.endpoint)
    assert opened == PUBLIC


@pytest.mark.parametrize("path", ["//policy", "/policy/", "/%70olicy/", "/complete/../policy"])
def test_b5_tricks_with_the_path_lead_nowhere(locked: Running, path: str) -> None:
    response = locked.client.get(path, headers={"host": "x/healthz?"})
    # `//policy` is no path but a host, which leads to the pages' sign-in and no further.
    assert response.status_code in {308, 400, 401, 404}
    assert response.location in {None, "http:///"}


def test_with_the_key_everything_works(locked: Running) -> None:
    headers = bearer(KEY)
    answer = locked.client.post("/complete", json={"prompt": SUM}, headers=headers)
    assert answer.status_code == 200
    rated = {"id": answer.json["id"], "thumbs": "up"}
    assert locked.client.post("/feedback", json=rated, headers=headers).status_code == 200
    assert locked.client.get("/policy", headers=headers).status_code == 200


def test_with_a_key_any_name_leads_here(locked: Running) -> None:
    headers = {"host": "turnpike.example", **bearer(KEY)}
    assert locked.client.get("/policy", headers=headers).status_code == 200
