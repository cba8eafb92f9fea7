"""A status that refuses is a refusal, whether what comes with it can be read or not."""

import pytest

from policy.errors import UpstreamBusy, UpstreamError, UpstreamRejected
from policy.types import NOTHING
from tests.upstream.misbehaving import Conversation
from tests.upstream.talking import BODY, SHORT, talking_to

UNREADABLE = {
    "compressed": (["Content-Encoding: gzip", "Content-Length: 2"], b"\x1f\x8b"),
    "cut": (["Content-Length: 99"], b'{"error": '),
    "cut between chunks": (["Transfer-Encoding: chunked"], b"1\r\n{\r\n"),
    "silent": (["Content-Length: 99", "X-Silent: 1"], b"{"),
    "nothing": (["Content-Length: 0"], b""),
}


@pytest.mark.parametrize(("headers", "body"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize(
    ("status", "error"), [(400, UpstreamRejected), (429, UpstreamBusy), (503, UpstreamError)]
)
@pytest.mark.parametrize("method", ["answer", "stream"])
def test_a_refusal_is_one_by_its_status_whatever_comes_after(
    method: str, status: int, error: type[UpstreamError], headers: list[str], body: bytes
) -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head(f"{status} No", "application/json", "Retry-After: 30", *headers)
        conversation.send(body)
        if "X-Silent: 1" in headers:
            conversation.until_client_leaves()

    more = {"timeouts": SHORT} if "X-Silent: 1" in headers else {}
    with (
        talking_to(scenario, **more) as (upstream, arm, _),
        pytest.raises(UpstreamError, match=f"answered {status}: ") as caught,
    ):
        getattr(upstream, method)(arm, BODY)
    assert (type(caught.value), caught.value.http_status) == (error, status)
    assert (caught.value.retry_after_s, caught.value.usage) == (30, NOTHING)
