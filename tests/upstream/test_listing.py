"""What a provider lists of its models, in each of the ways providers list them."""

import json
from typing import Any

import pytest

from policy.errors import UpstreamError
from tests.upstream.test_reach import SECRET, plain, saying
from upstream.catalogue import Provider
from upstream.listing import ListedModel, listing
from upstream.provider import serve
from upstream.replies import Reply


def told(value: Any) -> list[ListedModel]:
    with saying(plain("200 OK", body=json.dumps(value).encode())) as (provider, _):
        return listing(provider, SECRET)


def test_openais_way_tells_names_only() -> None:
    with serve(lambda model, body: Reply("x", 1, 1), lambda: ["a", "b"]) as serving:
        found = listing(Provider("p", serving.url), {})
    assert [(each.model, each.is_priced) for each in found] == [("a", False), ("b", False)]


def test_prices_per_token_and_a_window_make_a_whole_entry() -> None:
    priced = {"prompt": "0.00000027", "completion": "0.0000011"}
    [found] = told({"data": [{"id": "v/m", "context_length": 128_000, "pricing": priced}]})
    assert found == ListedModel("v/m", 128_000, 0.27, 1.1)
    assert found.is_priced


def test_a_bare_list_with_prices_per_million_is_understood() -> None:
    [found] = told([{"id": "m", "context_window": 8_192, "pricing": {"input": 0.2, "output": 0}}])
    assert found == ListedModel("m", 8_192, 0.2, 0.0)


@pytest.mark.parametrize(
    "odd",
    [
        {"pricing": {"prompt": "free", "completion": None}},
        {"pricing": {"prompt": "-1", "completion": "nan"}},
        {"pricing": "see our page", "context_window": "large"},
        {"pricing": {"prompt": 10**400, "completion": "1e9"}},
        {"context_window": True},
        {"context_window": -1},
        {"context_window": 10**12},
    ],
)
def test_what_is_no_price_and_no_window_is_unknown(odd: dict[str, Any]) -> None:
    assert told({"data": [{"id": "m", **odd}]}) == [ListedModel("m")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>", "200 OK"),
        (b'"models"', "200 OK"),
        (b'{"data": [{"name": "m"}]}', "200 OK"),
        (b'{"data": null}', "200 OK"),
        (b"[1, 2]", "200 OK"),
        (b"[" * 100_000, "200 OK"),
        (b"{}", "401 No"),
    ],
)
def test_what_is_no_list_is_told_with_what_to_check(body: bytes, status: str) -> None:
    answer = plain(status, body=body)
    with saying(answer) as (provider, _), pytest.raises(UpstreamError) as refused:
        listing(provider, SECRET)
    assert refused.value.message.startswith("p lists no models: ")
    assert refused.value.message.endswith("check base_url, key and network")
    assert "secret" not in refused.value.message


def test_what_answers_with_a_redirect_or_no_http_lists_nothing() -> None:
    with saying(plain("200 OK")) as (other, seen_there):
        for answer, says in (
            (plain("302 Found", f"Location: {other.base_url}/models"), "a redirect to http://127"),
            (b"SSH-2.0-OpenSSH_9\r\n", "no HTTP"),
            (b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"data": []}', "closed before"),
        ):
            with (
                saying(answer) as (provider, _),
                pytest.raises(UpstreamError, match=says) as refused,
            ):
                listing(provider, SECRET)
            assert "secret" not in refused.value.message
    assert seen_there == []
