"""How often a key may ask, over any stretch of time, and what becomes of wrong keys."""

from contextlib import suppress

import pytest

from app.keys.holder import ANYBODY, Holder
from app.keys.rates import Rates, parsed
from policy.errors import RateLimited
from tests.app.keyed import Keyed
from tests.app.running import Running


def test_no_stretch_of_time_has_more_than_the_limit() -> None:
    now_s, served = [1e9], list[float]()
    rates = Rates(lambda: now_s[0])
    holder = Holder("shop", "k1", rate_limit="5/minute")
    for _ in range(600):
        now_s[0] += 1.0
        with suppress(RateLimited):
            rates.hit(holder)
            served.append(now_s[0])
    assert len(served) == 50
    for i in range(len(served) - 5):
        assert served[i + 5] - served[i] > 60


def test_each_key_has_its_own_and_without_one_there_is_none() -> None:
    rates = Rates()
    for key_id in ("k1", "k2"):
        standing = rates.hit(Holder("shop", key_id, rate_limit="2/hour"))
        assert standing is not None
        assert (standing.limit, standing.left) == (2, 1)
        assert 3_590 < standing.reset_s <= 3_600
    assert rates.hit(ANYBODY) is None
    assert rates.hit(Holder("shop", "k1")) is None


def test_who_is_refused_is_told_the_limit_as_it_was_set() -> None:
    rates, holder = Rates(lambda: 0.0), Holder("shop", "k1", rate_limit="1/month")
    rates.hit(holder)
    with pytest.raises(RateLimited, match="limit is 1/month, and is reached; ask again in 2592000"):
        rates.hit(holder)


def test_who_has_not_come_lately_is_forgotten() -> None:
    now_s = [0.0]
    rates = Rates(lambda: now_s[0])
    for n in range(1_000):
        rates.hit(Holder("shop", f"token {n}", rate_limit="5/minute"))
        rates.wrong_key(f"10.0.{n // 256}.{n % 256}")
    assert len(rates) == 2_000
    now_s[0] = 61.0
    for _ in range(1_000):
        rates.hit(Holder("shop", "k1", rate_limit="10000/hour"))
    assert len(rates) == 1
    standing = rates.standing(Holder("shop", "k1", rate_limit="10000/hour"))
    assert standing is not None
    assert standing.left == 9_000


@pytest.mark.parametrize(
    "rate", ["", "many", "0/minute", "-1/minute", "100001/hour", "5/fortnight"]
)
def test_what_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="is no rate; it must be like 60/minute"):
        parsed(rate)


def test_l4_who_asks_too_often_is_told_when_to_come_back_and_others_are_served(
    service: Running,
) -> None:
    shop, site = Keyed(service, rate_limit="3/minute"), Keyed(service, "site")
    told = [shop.get("/v1/models") for _ in range(4)]
    assert [each.status_code for each in told] == [200, 200, 200, 429]
    left = [each.headers.get("x-ratelimit-remaining-requests") for each in told]
    assert left == ["2", "1", "0", "0"]
    for each in (told[0], told[3]):
        assert each.headers["x-ratelimit-limit-requests"] == "3"
        assert each.headers["x-ratelimit-reset-requests"] in {"59s", "60s"}
    assert 1 <= int(told[3].headers["retry-after"]) <= 60
    error = told[3].json["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limited")
    other = site.get("/v1/models")
    assert (other.status_code, "x-ratelimit-limit-requests" in other.headers) == (200, False)


def test_b12_many_wrong_keys_are_429_and_a_right_one_is_served_from_anywhere(
    service: Running,
) -> None:
    shop = Keyed(service)
    seen = []
    for n in range(200):
        headers = {"Authorization": f"Bearer tpk_{n}"}
        seen.append(service.client.get("/policy", headers=headers).status_code)
    assert seen == [401] * 20 + [429] * 180
    assert shop.get("/v1/models").status_code == 200
    elsewhere = {"REMOTE_ADDR": "10.0.0.7"}
    wrong = service.client.get("/policy", headers=headers, environ_overrides=elsewhere)
    assert wrong.status_code == 401
    for address in ({}, elsewhere):
        missing = service.client.get("/policy", environ_overrides=address)
        assert missing.status_code == 401
    right = service.client.get("/policy", headers=shop.headers, environ_overrides=elsewhere)
    assert right.status_code == 200
