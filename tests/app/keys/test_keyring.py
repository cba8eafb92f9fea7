"""Who holds which key: found by the whole key, followed in the log, and never by a half of it."""

import statistics
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.keys.keyring import Keyring, digest
from app.keys.subkeys import Subkeys
from app.routing.goals import goals
from app.settings import Settings
from app.wiring import assemble
from policy.errors import ConfigError, StoreUnavailable, Unauthenticated
from storage.sqlite_log import SqliteLog
from tests.app.keyed import Keyed
from tests.app.running import SUM, Provider, Running, running
from tests.storage.rounds import NOON_S, but
from tests.storage.test_keys import PLAIN
from upstream.catalogue import load

KEY = "correct-horse-battery"


def status(service: Running, key: str | None, path: str = "/policy") -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return service.client.get(path, headers=headers).status_code


def test_from_the_first_key_on_every_request_needs_one(service: Running) -> None:
    assert status(service, None) == 200
    shop = Keyed(service)
    assert (status(service, None), status(service, shop.key)) == (401, 200)
    shop.revoke()
    assert (status(service, None), status(service, shop.key)) == (401, 401)


def test_b2_half_a_key_is_none(service: Running) -> None:
    shop = Keyed(service)
    for half in (shop.key[:20], shop.key[:20] + "x" * 27, shop.key[:-1], shop.key + "x"):
        assert status(service, half) == 401
        assert status(service, shop.key) == 200


def test_the_key_of_the_settings_opens_everything_beside_others(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url, api_key=KEY) as service:
        shop = Keyed(service, scopes=("read",))
        assert (status(service, KEY), status(service, shop.key)) == (200, 200)
        assert shop.open("DELETE", "/cache").status_code == 403
        headers = {"Authorization": f"Bearer {KEY}"}
        assert service.client.delete("/cache", headers=headers).status_code == 200


def test_b3_a_revoked_key_ends_while_its_stream_goes_on(service: Running) -> None:
    shop = Keyed(service)
    body = {"prompt": SUM, "stream": True}
    response = service.client.post("/complete", json=body, headers=shop.headers, buffered=False)
    events = response.response
    first = next(iter(events))
    shop.revoke()
    assert shop.post("/complete", body).status_code == 401
    rest = "".join(each.decode() if isinstance(each, bytes) else each for each in events)
    assert b"id" in (first if isinstance(first, bytes) else first.encode())
    assert rest.endswith("data: [DONE]\n\n")


def test_b3_a_key_revoked_in_the_log_ends_without_being_told(service: Running) -> None:
    shop = Keyed(service)
    follow, service.parts.keyring.follow = service.parts.keyring.follow, lambda: None
    shop.revoke()
    service.parts.keyring.follow = follow
    give_up_at = time.monotonic() + 30
    while status(service, shop.key) == 200 and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert status(service, shop.key) == 401


def test_b11_while_the_store_is_away_a_known_key_is_served_and_no_other_is_judged(
    tmp_path: Path,
) -> None:
    settings, keys, path = Settings.load({}), Subkeys(b"x" * 32), tmp_path / "turnpike.db"
    log = SqliteLog(path)
    shop = but(PLAIN, digest=digest(keys, "tpk_shop"))
    log.receive("shop", "key", NOON_S, [shop]).wait()
    keyring = Keyring(settings, keys, log, goals(settings, load(settings.arms)))
    log.close()
    with capture_logs() as lines:
        for _ in range(3):
            keyring.follow()
    assert [line["event"] for line in lines] == ["the keys cannot be read now"]
    assert keyring.holder("tpk_shop").key_id == shop.id
    with pytest.raises(StoreUnavailable, match="the keys cannot be read now"):
        keyring.holder("tpk_other")
    with SqliteLog(path) as keyring._log:
        keyring.follow()
        assert keyring.holder("tpk_shop").key_id == shop.id
        with pytest.raises(Unauthenticated):
            keyring.holder("tpk_other")


def test_a_session_ends_with_its_key(service: Running) -> None:
    shop, keyring = Keyed(service), service.parts.keyring
    session = keyring.session(keyring.holder(shop.key))
    assert keyring.holder_of(session).key_id == shop.row.id
    shop.revoke()
    with pytest.raises(Unauthenticated, match="the session has ended"):
        keyring.holder_of(session)


def test_to_find_a_key_among_a_thousand_costs_microseconds(service: Running) -> None:
    shop = Keyed(service)
    holder = service.parts.keyring.holder
    service.parts.keyring._by_digest |= {
        bytes([i // 256, i % 256]): holder(shop.key) for i in range(1_000)
    }
    took = []
    for _ in range(200):
        began_s = time.perf_counter()
        holder(shop.key)
        took.append(time.perf_counter() - began_s)
    assert statistics.median(took) < 1e-3


@pytest.mark.parametrize("bind", ["0.0.0.0:8000", "[::]:8000", "example.org:80"])
def test_what_can_be_reached_from_outside_needs_some_key(
    tmp_path: Path, provider: Provider, bind: str
) -> None:
    dials = {"sandbox_url": provider.url, "bind": bind, "database": tmp_path / "turnpike.db"}
    with pytest.raises(ConfigError, match="make a key with `keys create`, set TURNPIKE_API_KEY"):
        assemble(Settings.load({}, dials), {})
    with running(tmp_path, sandbox_url=provider.url) as service:
        Keyed(service)
    with running(tmp_path, sandbox_url=provider.url, bind=bind) as service:
        assert status(service, None) == 401
