"""One turn: a decision with its upstream call, and the rows the log keeps of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from policy.errors import (
    CallerGone,
    Draining,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorised,
)
from policy.types import NOTHING, Arm, Usage
from storage.inbox import Unit
from storage.records import Attempt, AttemptStatus, CacheUse, Decision, Outcome, OutcomeStatus
from storage.spool import Durable
from upstream.answers import Answer, acts, called_by, part_of
from upstream.health import Call
from upstream.naming import answering
from upstream.stream import Stream

PLACES: tuple[Durable, ...] = ("log", "spool", "none")

# The most specific class first: UpstreamError is the parent of all.
ATTEMPT_STATUS: Mapping[type[UpstreamError], AttemptStatus] = {
    UpstreamRejected: "rejected",
    UpstreamUnauthorised: "unauthorised",
    UpstreamBusy: "busy",
    UpstreamTimeout: "timeout",
    UpstreamInvalid: "invalid",
    UpstreamError: "error",
}
GIVEN_UP: Mapping[type[Exception], OutcomeStatus] = {
    CallerGone: "client_gone",
    Draining: "abandoned",
}
WHY_WITHOUT_ERROR: Mapping[OutcomeStatus, str] = {
    "abandoned": "given up, because the service was being stopped",
    "error": "given up, because something of ours broke",
}


class NoCall:
    """Nobody is asked, so nothing is learned of anybody's health."""

    def answer(self, ttft_s: float) -> None:
        """Record nothing."""

    def end(self, error: UpstreamError | None = None, *, speaks: bool = True) -> None:
        """Record nothing."""

    def drop(self) -> None:
        """Record nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A decision on its way to the log, with the arm that is asked, or has answered before.

    `keys` are what the conversation's next turn may look for; `known` is the catalogue at whose
    prices another model is booked that answers in the arm's place.
    """

    decision: Decision
    arm: Arm
    recorded: Unit[None]
    call: Call | NoCall
    started_at_s: float
    keys: tuple[bytes, ...] = ()
    known: Mapping[str, Arm] = field(default_factory=dict)
    cache: CacheUse = "miss"


def least(*places: Durable) -> Durable:
    """Return the place that promises least.

    >>> least("log", "spool")
    'spool'
    """
    return max(places, key=PLACES.index)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the upstream call of a turn ended; `called` are the ids of the tool calls it made.

    `text` is what this call brought of the answer; `message` is the message of its first choice, of
    a stream without the text.
    """

    status: OutcomeStatus
    usage: Usage = NOTHING
    latency_s: float = 0.0
    ttft_s: float | None = None
    finish_reason: str | None = None
    model: str | None = None
    choices: int = 1
    error: UpstreamError | None = None
    called: tuple[str, ...] = ()
    text: str = ""
    message: Mapping[str, Any] = field(default_factory=dict)

    @property
    def speaks(self) -> bool:
        """Return whether this call brought more than thoughts."""
        return bool(self.text.strip()) or acts(self.message)


@dataclass(frozen=True, slots=True)
class Completion:
    """What the client is told of an answer; `data` is the JSON of one that came in one piece.

    `turn` is whose id the client has; `continued_by` are the decisions whose arms went on.
    `durable` tells where all of that is recorded.
    """

    turn: Turn
    ended: Ended
    text: str
    attempts: int
    cost_usd: float
    data: Mapping[str, Any] = field(default_factory=dict)
    continued_by: tuple[str, ...] = ()
    durable: Durable = "log"

    @property
    def tool_calls(self) -> list[dict[str, Any]] | None:
        """Return the tools the first choice calls; a function, their older name, is one of them."""
        called = self.ended.message.get("function_call")
        one = [{"type": "function", "function": called}] if called else None
        return self.ended.message.get("tool_calls") or one

    @property
    def refusal(self) -> str | None:
        """Return the words in which the first choice refuses to answer."""
        said = self.ended.message.get("refusal")
        return said if isinstance(said, str) else None

    @property
    def model(self) -> str:
        """Return the model that answered."""
        return self.ended.model or self.turn.arm.model


def completed(turn: Turn, answer: Answer, attempts: int) -> Completion:
    """Return the completion of a turn that was answered in one piece."""
    message = part_of(answer.data["choices"][0], "message")
    ended = Ended(
        status=ok_or_filtered(answer.finish_reason),
        usage=answer.usage,
        latency_s=answer.latency_s,
        ttft_s=answer.ttft_s,
        finish_reason=answer.finish_reason,
        model=answer.model,
        choices=len(answer.data["choices"]),
        called=tuple(called_by(message)),
        text=answer.text,
        message=message,
    )
    return Completion(turn, ended, answer.text, attempts, cost_usd(turn, ended), answer.data)


def joined(parts: Sequence[tuple[Turn, Ended]], text: str, attempts: int) -> Completion:
    """Return the completion of an answer that one arm began and others, if any, went on with."""
    turns, ends = zip(*parts, strict=True)
    ended = replace(
        ends[-1],
        usage=sum((each.usage for each in ends), NOTHING),
        latency_s=sum(each.latency_s for each in ends),
        ttft_s=ends[0].ttft_s,
    )
    return Completion(
        turn=turns[0],
        ended=ended,
        text=text,
        attempts=attempts,
        cost_usd=sum(cost_usd(turn, each) for turn, each in parts),
        continued_by=tuple(turn.decision.id for turn in turns[1:]),
    )


def streamed(
    stream: Stream, status: OutcomeStatus | None = None, error: UpstreamError | None = None
) -> Ended:
    """Return the end of a streamed call; without a status, one that came to its end."""
    return Ended(
        status=status or ok_or_filtered(stream.finish_reason),
        usage=stream.usage,
        latency_s=stream.latency_s,
        ttft_s=stream.ttft_s,
        finish_reason=stream.finish_reason,
        model=stream.model,
        choices=stream.choices,
        error=error,
        called=tuple(stream.called),
        message=stream.message,
    )


def broken_off(error: UpstreamError) -> OutcomeStatus:
    """Return the status of an answer whose rest did not come."""
    return "timeout" if isinstance(error, UpstreamTimeout) else "truncated_upstream"


def ok_or_filtered(finish_reason: str | None) -> OutcomeStatus:
    """Return the status of an answer that came to its end."""
    return "filtered" if finish_reason == "content_filter" else "ok"


def cost_usd(turn: Turn, ended: Ended) -> float:
    """Return the dollars of one call as billed, else its tokens at the price of who answered."""
    arm, usage = turn.arm, ended.usage
    if usage.billed_usd is not None:
        return usage.billed_usd
    if ended.model is not None:
        arm = answering(arm, ended.model, turn.known.values()) or arm
    return arm.cost_usd(
        usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens
    )


def failed(error: UpstreamError, latency_s: float) -> Ended:
    """Return the end of a call that brought no answer: what its provider may bill is booked."""
    status: OutcomeStatus = "timeout" if isinstance(error, UpstreamTimeout) else "error"
    return Ended(status, error.usage, latency_s, error=error)


def left(turn: Turn, latency_s: float, why: Exception) -> Ended:
    """Return the end of a call given up before its first content; its input may be billed."""
    usage = Usage(turn.decision.input_tokens_estimated, 0, estimated=True)
    return Ended(given_up(why), usage, latency_s)


def given_up(why: Exception) -> OutcomeStatus:
    """Return the status of an answer that the provider would have gone on with.

    What is neither the client's doing nor the operator's is a defect of ours.
    """
    return GIVEN_UP.get(type(why), "error")


def attempt_row(turn: Turn, ended: Ended) -> Attempt:
    """Return the log's row of the upstream call."""
    return Attempt(
        decision_id=turn.decision.id,
        n=1,
        arm=turn.arm.name,
        started_at_s=turn.started_at_s,
        latency_s=ended.latency_s,
        ttft_s=ended.ttft_s,
        status=_attempt_status(ended),
        http_status=None if ended.error is None else ended.error.http_status,
        message=_message(ended),
        input_tokens=ended.usage.input_tokens,
        cached_tokens=ended.usage.cached_tokens,
        output_tokens=ended.usage.output_tokens,
        cost_usd=cost_usd(turn, ended),
    )


def outcome_row(turn: Turn, ended: Ended, at_s: float) -> Outcome:
    """Return the log's row of how the decision ended."""
    return Outcome(
        decision_id=turn.decision.id,
        at_s=at_s,
        arm=turn.arm.name,
        status=ended.status,
        finish_reason=ended.finish_reason,
        model=ended.model,
        input_tokens=ended.usage.input_tokens,
        cached_tokens=ended.usage.cached_tokens,
        output_tokens=ended.usage.output_tokens,
        usage_estimated=ended.usage.estimated,
        cost_usd=cost_usd(turn, ended),
        latency_s=ended.latency_s,
        ttft_s=ended.ttft_s,
        cache=turn.cache,
        attempts=int(turn.cache == "miss"),
        choices=ended.choices,
    )


def _message(ended: Ended) -> str | None:
    if ended.error is not None:
        return ended.error.message
    return WHY_WITHOUT_ERROR.get(ended.status)


def _attempt_status(ended: Ended) -> AttemptStatus:
    if ended.status == "client_gone":
        return "client_gone"
    if ended.error is None:
        return "error" if ended.status in WHY_WITHOUT_ERROR else "ok"
    return next(status for kind, status in ATTEMPT_STATUS.items() if isinstance(ended.error, kind))
