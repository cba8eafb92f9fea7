"""An answer given again has the form in which a provider would have sent it."""

import pytest

from policy.types import Arm, Usage
from upstream.answers import read_answer
from upstream.recall import Said, answer_again, stream_again

ARM = Arm("a", "p", "m", 1.0, 2.0, context_window=8_000)
BODY = {"messages": [{"role": "user", "content": "hello"}]}
SAID = Said("Grüße,\n\nline two", "m-2026", Usage(9, 4, 3), 1_800_000_000.5)


def test_in_one_piece_it_reads_as_an_answer_does() -> None:
    answer = answer_again(SAID, 0.25)
    assert read_answer(answer.data) == (SAID.text, "stop")
    assert (answer.usage, answer.model, answer.latency_s) == (SAID.usage, "m-2026", 0.25)
    assert answer.data["usage"]["total_tokens"] == 13


def test_as_a_stream_it_ends_cleanly_with_its_tokens() -> None:
    stream = stream_again(ARM, BODY, SAID)
    assert "".join(chunk.text for chunk in stream) == SAID.text
    assert (stream.finish_reason, stream.model, stream.usage) == ("stop", "m-2026", SAID.usage)


@pytest.mark.parametrize("estimated", [False, True])
def test_an_estimate_stays_an_estimate(estimated: bool) -> None:
    said = Said("x" * 40, "m", Usage(2, 10, 0, estimated), 0.0)
    stream = stream_again(ARM, BODY, said)
    list(stream)
    assert stream.usage.estimated == estimated
