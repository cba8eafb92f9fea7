"""Callers and the provider they ask: what is counted came, and what did not is told."""

import socket
from collections.abc import Iterator

import pytest

from bench.answerer import TEXT
from bench.gateway import provider
from bench.gateways import CHAT, body
from bench.load import Target, plain, streams
from storage.postgres_server import free_port


@pytest.fixture(scope="module")
def asked() -> Iterator[Target]:
    with provider() as port:
        yield Target(port, CHAT)


def test_callers_ask_again_until_the_time_is_over(asked: Target) -> None:
    load = plain(asked, body(), callers=3, seconds=2.0)
    assert load.failed == 0
    assert len(load.latencies_s) > 3
    assert sum(load.latencies_s) <= 3 * load.elapsed_s


def test_the_provider_answers_in_one_piece(asked: Target) -> None:
    with socket.create_connection(("127.0.0.1", asked.port), timeout=5) as connection:
        connection.sendall(asked.request(body()))
        told = b""
        while not told.endswith(b"}}"):
            told += connection.recv(65_536)
    assert TEXT.encode() in told


def test_streams_are_counted_to_the_last_token_and_come_at_their_pace(asked: Target) -> None:
    load = streams(asked, body(stream=True, tokens=5), callers=4, tokens=5)
    assert (load.failed, load.chunks, len(load.ttfts_s)) == (0, 20, 4)
    assert min(load.latencies_s) > 4 / 20 - 0.05
    assert load.most_at_once >= 1


def test_a_stream_that_is_too_short_is_no_whole_one(asked: Target) -> None:
    load = streams(asked, body(stream=True, tokens=2), callers=1, tokens=3)
    assert (load.failed, load.latencies_s, load.why) == (1, [], "2 of 3 tokens")


def test_nobody_there_is_a_failure_and_no_figure() -> None:
    load = plain(Target(free_port(), "/"), b"", callers=2, seconds=0.1)
    assert (load.failed, load.latencies_s) == (2, [])
    assert "ConnectionRefusedError" in load.why
