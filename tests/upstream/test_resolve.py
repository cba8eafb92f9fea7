"""A silent name server, or an address where nobody is, holds no call beyond its deadline."""

import socket
import threading

import httpx2
import pytest

from policy.types import Timeouts
from tests.upstream.misbehaving import completion, misbehaving
from upstream.deadlines import Deadline
from upstream.resolve import Lookup, Resolver, addresses
from upstream.transport import Calls

SOON = Timeouts(connect_s=0.3, first_content_s=5, idle_s=5, total_s=5)


def test_a_name_of_this_machine_is_found() -> None:
    assert "127.0.0.1" in Resolver().resolve("localhost", 5)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]"])
def test_an_address_is_not_looked_up(host: str) -> None:
    asked: list[str] = []
    assert Resolver(lambda name: asked.append(name) or []).resolve(host, 5) == [host]
    assert asked == []


def test_a_name_that_nobody_has_is_an_error() -> None:
    with pytest.raises(OSError, match="nobody.invalid cannot be looked up"):
        Resolver().resolve("nobody.invalid", 30)


def test_a_name_that_cannot_be_one_is_an_error() -> None:
    with pytest.raises(OSError, match="cannot be looked up"):
        Resolver().resolve("x" * 300, 30)


def test_a_name_that_was_not_found_is_looked_up_again() -> None:
    found = iter([OSError("no such name"), ["127.0.0.1"]])

    def lookup(_: str) -> list[str]:
        told = next(found)
        if isinstance(told, OSError):
            raise told
        return told

    resolver = Resolver(lookup)
    with pytest.raises(OSError, match="no such name"):
        resolver.resolve("new.example", 30)
    assert resolver.resolve("new.example", 30) == ["127.0.0.1"]


def test_a_silent_name_server_is_asked_once_and_holds_nobody() -> None:
    release, asked = threading.Event(), []

    def silent(host: str) -> list[str]:
        asked.append(host)
        release.wait(10)
        return ["127.0.0.1"]

    resolver = Resolver(silent)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            resolver.resolve("slow.example", 0.05)
    assert asked == ["slow.example"]
    release.set()
    assert resolver.resolve("slow.example", 5) == ["127.0.0.1"]


def status(lookup: Lookup, url: str) -> int:
    """Return the status that a call of the model `m` gets."""
    with Calls(url, lookup) as calls, Deadline(SOON).active():
        answer = calls.send(calls.build_request("POST", url, content=b'{"model": "m"}', headers={}))
        answer.read()
        answer.close()
        return answer.status_code


def test_a_call_whose_name_is_not_found_in_time_is_late() -> None:
    release = threading.Event()

    def silent(host: str) -> list[str]:
        release.wait(10)
        return addresses(host)

    with pytest.raises(httpx2.ConnectTimeout, match="slow.example was not found in time"):
        status(silent, "http://slow.example/")
    assert not release.is_set()
    release.set()


def test_a_name_that_does_not_exist_breaks_the_connection() -> None:
    def missing(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.raises(httpx2.NetworkError, match="no such name"):
        status(missing, "http://gone.example/")


def test_the_next_address_is_tried_when_nobody_is_at_the_first() -> None:
    with misbehaving({"m": lambda talk: talk.reply(completion())}) as (url, seen):
        port = httpx2.URL(url).port
        both = ["127.0.0.2", "127.0.0.1"]
        assert status(lambda host: both, f"http://two.example:{port}/v1") == 200
        assert "two.example" in seen.heads[0]


def test_an_address_that_takes_no_connection_leaves_time_for_the_next() -> None:
    with misbehaving({"m": lambda talk: talk.reply(completion())}) as (url, _):
        port = httpx2.URL(url).port
        with (
            socket.create_server(("127.0.0.2", port), backlog=0) as full,
            socket.create_connection(full.getsockname()),
        ):
            both = ["127.0.0.2", "127.0.0.1"]
            assert status(lambda host: both, f"http://two.example:{port}/v1") == 200
