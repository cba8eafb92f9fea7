"""A text as a vector, from a real socket: its direction, or an error that says what was wrong."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from policy.errors import NotServed, UpstreamError, UpstreamInvalid, UpstreamTimeout
from policy.types import Timeouts
from tests.upstream.misbehaving import Conversation, Scenario, misbehaving
from tests.upstream.talking import PATIENT, SHORT, upstream_at
from upstream.embeddings import Embeddings


def sending(embedding: object) -> Scenario:
    def send(talk: Conversation) -> None:
        talk.reply(json.dumps({"data": [{"embedding": embedding}]}).encode())

    return send


@contextmanager
def served(
    scenario: Callable[[Conversation], None], timeouts: Timeouts = PATIENT
) -> Iterator[Embeddings]:
    there = misbehaving({"m": scenario})
    with there as (url, _), upstream_at(url, passes_on=("embeddings",)) as upstream:
        yield Embeddings(upstream.pass_on, "m", timeouts)


def test_the_vector_has_length_one() -> None:
    with served(sending([3, 4.0])) as embeddings:
        assert np.allclose(embeddings.vector("hello"), [0.6, 0.8])


@pytest.mark.parametrize(
    "wrong", [[], [0, 0], "text", [[1.0]], [1e300, 1e300], None, ["a"], [1.0] * 20_000, [10**400]]
)
def test_what_is_no_direction_is_refused(wrong: object) -> None:
    with (
        served(sending(wrong)) as embeddings,
        pytest.raises(UpstreamInvalid, match="sent no vector"),
    ):
        embeddings.vector("hello")


def test_not_a_number_is_refused() -> None:
    def send(talk: Conversation) -> None:
        talk.reply(b'{"data": [{"embedding": [NaN, 1.0]}]}')

    with served(send) as embeddings, pytest.raises(UpstreamInvalid):
        embeddings.vector("hello")


def test_one_that_is_silent_is_not_waited_for_long() -> None:
    with (
        served(Conversation.until_client_leaves, SHORT) as embeddings,
        pytest.raises(UpstreamTimeout),
    ):
        embeddings.vector("hello")


def test_where_no_provider_takes_embeddings_that_is_said() -> None:
    error = pytest.raises(NotServed, match="passes_on")
    with upstream_at("http://127.0.0.1:9/v1") as upstream, error:
        Embeddings(upstream.pass_on, "m").vector("hello")


def test_one_that_fails_is_an_error_of_the_provider() -> None:
    def send(talk: Conversation) -> None:
        talk.reply(b'{"error": {"message": "no"}}', "500 Internal Server Error")

    with served(send) as embeddings, pytest.raises(UpstreamError):
        embeddings.vector("hello")
