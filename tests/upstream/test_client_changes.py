"""A catalogue that changes while calls are made: what is no longer needed is hung up on."""

import json
import threading
from dataclasses import replace

import pytest

from policy.errors import UpstreamError
from tests.upstream.misbehaving import Conversation, chunk, completion, misbehaving, usage_frame
from tests.upstream.talking import BODY, arm_on
from tests.upstream.test_transport import Answering
from upstream.catalogue import Catalogue, Provider
from upstream.client import Upstream


def whole() -> bytes:
    body = completion()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def test_a_provider_that_has_changed_is_hung_up_on_and_called_anew() -> None:
    made, arm = Answering([whole()] * 3), arm_on()
    catalogue = Catalogue({"p": Provider("p", made.url)}, {})
    with Upstream(lambda: catalogue, {}) as upstream:
        for passes_on in ((), ("embeddings",), ("responses",)):
            changed = {"p": Provider("p", made.url, passes_on=passes_on)}
            catalogue = replace(catalogue, providers=changed)
            assert upstream.answer(arm, BODY).text == "hello"
    made.close()
    # The provider takes the next connection only when the one before was closed.
    assert made.connections == 3


def test_a_provider_that_has_left_is_hung_up_on_when_another_is_called() -> None:
    left, stays = Answering([whole()] * 2), Answering([whole()] * 2)
    all_of_them = {"p": Provider("p", left.url), "q": Provider("q", stays.url)}
    catalogue = Catalogue(all_of_them, {})
    with Upstream(lambda: catalogue, {}) as upstream:
        for name in ("p", "q"):
            upstream.answer(arm_on(name), BODY)
        catalogue = replace(catalogue, providers={"q": all_of_them["q"]})
        upstream.answer(arm_on("q"), BODY)
        with pytest.raises(UpstreamError, match="no longer in the catalogue"):
            upstream.answer(arm_on("p"), BODY)
        catalogue = replace(catalogue, providers=all_of_them)
        upstream.answer(arm_on("p"), BODY)
    for each in (left, stays):
        each.close()
    assert (left.connections, stays.connections) == (2, 1)


def test_a_stream_of_a_provider_that_leaves_is_whole() -> None:
    has_left = threading.Event()

    def streaming(conversation: Conversation) -> None:
        conversation.events(chunk("hel"))
        assert has_left.wait(10)
        rest = (chunk("lo"), chunk(finish="stop"), usage_frame(), b"[DONE]")
        conversation.send(b"".join(b"data: " + each + b"\n\n" for each in rest))

    scenarios = {"m": streaming, "n": lambda conversation: conversation.reply(completion())}
    with misbehaving(scenarios) as (url, _):
        catalogue = Catalogue({"p": Provider("p", url), "q": Provider("q", url)}, {})
        with Upstream(lambda: catalogue, {}) as upstream, upstream.stream(arm_on(), BODY) as stream:
            catalogue = Catalogue({"q": Provider("q", url)}, {})
            upstream.answer(arm_on("q", "n"), BODY)
            has_left.set()
            assert "".join(piece.text for piece in stream) == "hello"


def test_the_key_of_a_provider_that_has_joined_is_in_no_error_of_its_first_call() -> None:
    key = "looks.like.no.key"

    def echoing(conversation: Conversation) -> None:
        said = json.dumps({"error": {"message": f"wrong key: {key}"}}).encode()
        conversation.reply(said, "401 Unauthorized")

    with misbehaving({"m": echoing}) as (url, _):
        catalogue = Catalogue({}, {})
        with Upstream(lambda: catalogue, {"NEW_KEY": key}) as upstream:
            catalogue = Catalogue({"p": Provider("p", url, "NEW_KEY")}, {})
            with pytest.raises(UpstreamError, match="wrong key") as caught:
                upstream.answer(arm_on(), BODY)
    assert "looks" not in str(caught.value)
