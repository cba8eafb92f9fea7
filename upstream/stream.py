"""One streamed answer, validated as it passes: one that is cut short never ends like a whole one.

A stream is handed out only once its first content has come, so that every failure before that is an
exception and another arm can still be asked. Thoughts are content: whoever waits wants to see them
come, and a model may think for longer than anybody waits in silence.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from policy.errors import UpstreamError
from policy.types import Arm, Usage
from upstream.answers import (
    acts,
    called_by,
    choices_of,
    finish_of,
    may_be_blank,
    model_of,
    parsed,
    part_of,
    speaks,
    text_of,
    thinks,
)
from upstream.calls import require_calls
from upstream.deadlines import Deadline
from upstream.deltas import Deltas
from upstream.faults import Faults
from upstream.frames import frames
from upstream.transport import MAX_BODY_BYTES
from upstream.usage import choices_asked, spoken_tokens, usage_of

DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Chunk:
    """One frame: the text it adds to the first choice, and the provider's own JSON."""

    text: str
    data: dict[str, Any]

    def going_on(self, after: str) -> "Chunk":
        """Return the frame as part of an answer another arm began, without what is there already.

        That is the role, and the white space in which the text so far ends.
        """
        deltas = [part_of(choice, "delta") for choice in choices_of(self.data)]
        for delta in deltas:
            delta.pop("role", None)
        text = self.text.removeprefix(after[len(after.rstrip()) :])
        if text != self.text:
            deltas[0]["content"] = text
        return Chunk(text, self.data)


class Stream:
    """An answer on its way; iterate to receive it, close it to stop the provider.

    `called` are the ids of the tool calls that have come; `excused` is one that may say nothing.
    Iterating raises UpstreamError when the rest does not come; `usage` then counts what did. What
    ends blank is read to its end all the same: the count of its tokens may come, and is billed.
    """

    def __init__(
        self,
        arm: Arm,
        body: Mapping[str, Any],
        received: Iterable[bytes],
        hang_up: Callable[[], None],
        deadline: Deadline,
        faults: Faults,
        *,
        excused: bool = False,
    ) -> None:
        self.model = arm.model
        self.ttft_s = 0.0
        self._arm = arm
        self._body = body
        self._received = iter(received)
        self._hang_up = hang_up
        self._deadline = deadline
        self._faults = faults
        self._excused = excused
        self._faults.used = lambda: self.usage
        self._reported_usage: object = None
        self._output_tokens = 0.0
        self._counted_tokens = 0.0
        self._thought = False
        self._spoke = False
        self._acted = False
        self.called: list[str] = []
        self._deltas = {"0": Deltas()}
        self._blank = ""
        self._finishes: dict[str, str | None] = {}
        self._awaited = choices_asked(body)
        self._early: deque[Chunk] = deque()
        self._chunks = self._rest()
        self._open()

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended, once every choice that is to come has ended."""
        reasons = list(self._finishes.values())
        return reasons[0] if len(reasons) >= self._awaited and all(reasons) else None

    @property
    def choices(self) -> int:
        """How many answers have come, or begun to."""
        return max(len(self._finishes), 1)

    @property
    def is_plain_text(self) -> bool:
        """Whether only text and thoughts of the first choice have come, no tool call or refusal."""
        return not self._acted and self._finishes.keys() <= {"0"}

    @property
    def message(self) -> dict[str, Any]:
        """What the first choice has said so far beside its text."""
        return self._deltas["0"].message

    @property
    def usage(self) -> Usage:
        """The tokens of the call so far: as reported, and estimated of what has passed since."""
        came, since = self._output_tokens, self._output_tokens - self._counted_tokens
        return usage_of(self._reported_usage, self._arm, self._body, came, since)

    @property
    def latency_s(self) -> float:
        """The seconds since the call began."""
        return self._deadline.elapsed_s()

    def hold(self) -> None:
        """Receive the whole answer before any of it is handed out.

        raises : UpstreamError when the rest does not come
        """
        while True:
            self._deadline.wait_for_more()
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            self._early.append(chunk)

    def close(self) -> None:
        """End the upstream call now; nothing happens when it has ended."""
        self._hang_up()

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        if self._early:
            return self._early.popleft()
        # The wait counts from here: a slow reader on our side is not the provider's silence.
        self._deadline.wait_for_more()
        try:
            return next(self._chunks)
        except UpstreamError:
            self._deadline.require_reader()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _open(self) -> None:
        for chunk in self._chunks:
            self._early.append(chunk)
            if self._thought or self._spoke or self.finish_reason is not None:
                break
        self.ttft_s = self._deadline.elapsed_s()

    def _rest(self) -> Iterator[Chunk]:
        try:
            for frame in frames(self._received):
                if frame == DONE:
                    self._awaited = 1  # so says one that gives one choice, whatever is asked
                    break
                chunk = self._chunk(frame)
                if not self._blank:
                    yield chunk
        except UpstreamError:
            # What follows the finish is only the count of tokens, and that can be estimated.
            if self.finish_reason is None and not self._blank:
                raise
        finally:
            self._end()
        if self._blank:
            raise self._faults.blank(self._blank)
        if self.finish_reason is None:
            raise self._faults.invalid("ended the stream without a finish_reason")

    def _end(self) -> None:
        """Close the call; one that finished is read to its end first, to keep the connection."""
        if self.finish_reason is not None:
            self._deadline.wait_for_end()
            with suppress(UpstreamError):
                for _ in self._received:
                    pass
        self.close()

    def _chunk(self, frame: bytes) -> Chunk:
        try:
            if len(frame) > MAX_BODY_BYTES:
                raise ValueError(f"more than {MAX_BODY_BYTES} bytes")  # noqa: TRY301
            data = parsed(frame)
            self._report(data.get("usage"))
            self._faults.check(data)
            data["choices"] = choices_of(data)  # clients count on a list
            text = self._take(data)
        except (ValueError, RecursionError) as error:
            raise self._faults.invalid(f"sent a broken frame: {error}") from error
        self._report(data.get("usage"))
        return Chunk(text, data)

    def _report(self, usage: object) -> None:
        """Record the count that a provider tells of what has come by now, if it tells one."""
        if usage:
            self._reported_usage, self._counted_tokens = usage, self._output_tokens

    def _take(self, data: dict[str, Any]) -> str:
        told = (data, *reversed(data["choices"]))  # Moonshot tells it at the choice
        if usage := next((each["usage"] for each in told if each.get("usage")), None):
            data["usage"] = usage
        if data.get("model") not in (None, "", self.model):
            self.model = model_of(data, self._arm)
        text, known_tokens = "", self._output_tokens
        for choice in data["choices"]:
            # Clients count on both; some providers leave out one where it would say nothing.
            index = choice["index"] = choice.get("index") or 0
            delta = choice["delta"] = part_of(choice, "delta")
            self._output_tokens += spoken_tokens(delta)
            self._thought = self._thought or thinks(delta)
            self._spoke = self._spoke or speaks(delta)
            if acts(delta):
                self._acted = True
                self.called += called_by(delta)
            self._deltas.setdefault(str(index), Deltas()).add(delta)
            if index == 0:
                text += text_of(delta)
                if finish_of(choice):
                    require_calls(self.message)  # before its end is told to anybody
            self._finish(str(index), finish_of(choice))
        if self._output_tokens > known_tokens:
            self._deadline.wait_no_shorter()
        return text

    def _finish(self, index: str, reason: str | None) -> None:
        excused = self._excused or self._thought
        if reason and not self._spoke and not may_be_blank(reason, excused=excused):
            self._blank = reason
            self._deadline.wait_for_end()
            reason = None
        self._finishes[index] = reason or self._finishes.get(index)
