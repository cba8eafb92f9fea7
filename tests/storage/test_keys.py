"""Keys are recorded once, found whole, ended by a second row, and never changed."""

import pytest

from policy.errors import InvalidInput
from storage.keys import Key, KeyStanding, Revocation
from storage.log import Log
from storage.recorder import HandoverRow
from tests.storage.conftest import OpenLog
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, OUTCOME, but

KEY = Key(
    id="k1",
    name="shop",
    tenant="acme",
    digest=b"\x00\xff" * 16,
    scopes=("complete", "feedback"),
    created_at_s=NOON_S,
    allowed_arms=("small", "large"),
    rate_limit="60/minute",
    budget_usd=5.0,
    budget_per="day",
    quality_floor=0.98,
    secret_check="c" * 64,
)
PLAIN = Key(
    id="k2", name="site", tenant="beta", digest=b"d" * 32, scopes=("read",), created_at_s=NOON_S + 1
)


def receive(log: Log, record: HandoverRow) -> bool:
    return log.receive(f"of {record!r}", "key", NOON_S, [record]).wait()


def test_a_key_is_read_back_as_it_was_made_after_a_restart(open_log: OpenLog) -> None:
    with open_log() as log:
        assert log.known_keys() == []
        for key in (PLAIN, KEY):
            assert receive(log, key)
    with open_log() as log:
        assert log.known_keys() == [
            KeyStanding(key=KEY, revoked_at_s=None),
            KeyStanding(key=PLAIN, revoked_at_s=None),
        ]


def test_a_revocation_ends_a_key_once_and_every_change_is_counted(log: Log) -> None:
    counted = [log.keys_changed()]
    for record in (KEY, PLAIN, Revocation(key_id="k1", at_s=NOON_S + 2)):
        receive(log, record)
        counted.append(log.keys_changed())
    assert counted == [0, 1, 2, 3]
    assert [each.revoked_at_s for each in log.known_keys()] == [NOON_S + 2, None]
    with pytest.raises(InvalidInput, match="revocation is recorded already"):
        receive(log, Revocation(key_id="k1", at_s=NOON_S + 3))
    assert log.keys_changed() == 3


def test_a_name_is_one_keys_until_that_is_revoked(log: Log) -> None:
    receive(log, KEY)
    again = but(KEY, id="k3", digest=b"e" * 32)
    with pytest.raises(InvalidInput, match="there is a key named 'shop': revoke it first"):
        receive(log, again)
    receive(log, Revocation(key_id="k1", at_s=NOON_S))
    assert receive(log, again)
    assert [each.key.id for each in log.known_keys() if each.revoked_at_s is None] == ["k3"]


def test_spend_and_prompts_are_told_apart_by_key(log: Log) -> None:
    asked = [("d1", "k1"), ("d2", "k2"), ("d3", "k1"), ("d4", None)]
    for i, (decision, key_id) in enumerate(asked):
        log.decide(but(DECISION, id=decision, key_id=key_id, decided_at_s=NOON_S + i))
        log.settle(but(OUTCOME, decision_id=decision, cost_usd=2.0**i, at_s=NOON_S + i)).wait()
    log.decide(but(DECISION, id="d5", key_id="k1", kind="cached")).wait()
    assert [log.spend_usd(NOON_S, key_id=key) for key in ("k1", "k2", "k3")] == [5.0, 2.0, 0.0]
    assert log.spend_usd(NOON_S + 1, key_id="k1") == 4.0
    assert log.spend_usd(NOON_S - HOUR_S) == 15.0
    assert [each.id for each in log.asked_with("k1", 5)] == ["d1", "d3"]
    assert [each.id for each in log.asked_with("k1", 1)] == ["d3"]


def test_whoever_sees_all_may_rate_what_any_tenant_asked(log: Log) -> None:
    log.decide(but(DECISION, id="d1", tenant="acme")).wait()
    rating = log.rate("d1", "ann", 1.0, at_s=NOON_S, tenant=None, window_s=1e12)
    assert rating.status == "recorded"


def test_what_stored_answers_did_is_told_apart_by_tenant(log: Log) -> None:
    for i, (tenant, arm, cache) in enumerate(
        [("acme", "small", "miss"), ("beta", "large", "miss"), ("beta", "small", "hit")]
    ):
        decision = but(DECISION, id=f"d{i}", tenant=tenant, arm=arm, decided_at_s=NOON_S)
        log.decide(decision)
        log.settle(but(OUTCOME, decision_id=f"d{i}", arm=arm, cache=cache, at_s=NOON_S)).wait()
    hits = [log.cache_use(NOON_S, tenant).hits for tenant in ("acme", "beta", None)]
    assert hits == [0, 1, 1]
