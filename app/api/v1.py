"""The drop-in endpoints under /v1: a client of OpenAI's changes its base URL and nothing else."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify

from app.api.access import needs, who
from app.api.chat import ChatRequest, frames, whole
from app.api.errors import broke_off, unreadable
from app.api.models import ROUTED, described, listed
from app.api.openapi import endpoint
from app.api.responses import Anything
from app.api.routes import (
    ASKING,
    STREAMS,
    asked,
    body,
    event,
    event_stream,
    parts,
    signed,
    to_the_end,
)
from app.mistakes import seen
from app.routing.turn import Turn
from policy.errors import (
    Forbidden,
    NotServed,
    TurnpikeError,
    UnknownModel,
    UpstreamBusy,
    UpstreamError,
    UpstreamTimeout,
)
from policy.types import Arm
from storage.spool import Durable
from upstream.passing import Passed
from upstream.refusals import GONE

PASSING = (NotServed, UnknownModel, UpstreamError, UpstreamBusy, UpstreamTimeout)
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n")
v1 = Blueprint("v1", __name__, url_prefix="/v1")


@v1.post("/chat/completions")
@needs("complete")
@endpoint(ChatRequest, Anything, (*ASKING, UnknownModel), also=STREAMS, decides=True)
def chat_completions() -> Response:
    """Answer as OpenAI's chat completions do: `auto` routes, the name of an arm or model pins."""
    given = asked(ChatRequest)
    # Of the arms with one model the first that the key allows; one that it does not is told why.
    ask = given.ask({**_allowed(), **parts().catalogue().arms})
    if ask.stream:
        answering = parts().router.stream(ask, who())
        response = event_stream(
            to_the_end(answering, frames(answering, given.wants_usage)), answering.close
        )
        return _signed(response, answering.turn, answering.attempts, answering.durable)
    completion = parts().router.complete(ask, who())
    answer = json.dumps(whole(completion), allow_nan=False)
    response = Response(answer, mimetype="application/json")
    response.headers["x-turnpike-cost-usd"] = f"{completion.cost_usd:.12g}"
    return _signed(response, completion.turn, completion.attempts, completion.durable)


@v1.get("/models")
@needs("complete")
@endpoint(None, Anything, ())
def models() -> Response:
    """List every name that `model` may have, as OpenAI lists models."""
    return jsonify(listed(_allowed()))


@v1.get("/models/<path:model>")
@needs("complete")
@endpoint(None, Anything, (UnknownModel,))
def one_model(model: str) -> Response:
    """Describe one name that `model` may have."""
    return jsonify(described(model, _allowed()))


@v1.post("/embeddings")
@needs("complete")
@endpoint(Anything, Anything, PASSING)
def embeddings() -> Response:
    """Pass a request for embeddings to the provider that takes them, unread."""
    return _passed("embeddings")


@v1.post("/responses")
@needs("complete")
@endpoint(Anything, Anything, PASSING, also=STREAMS)
def responses() -> Response:
    """Pass a request of OpenAI's responses API to the provider that takes them, unread."""
    return _passed("responses")


def _allowed() -> dict[str, Arm]:
    """Return the arms that the key of the request allows."""
    arms = parts().catalogue().arms
    return {name: arms[name] for name in who().among(arms)}


def _passed(endpoint: str) -> Response:
    """Return what the provider says, as it comes; what breaks off ends with an error event."""
    given = body('{"model": "...", "input": "..."}')
    _refuse_what_is_not_passed(endpoint, given)
    try:
        passed = parts().upstream.pass_on(endpoint, given)
    except UpstreamError as error:
        if error.http_status == HTTPStatus.NOT_FOUND or error.code == GONE:
            raise UnknownModel(error.message, param="model") from error
        raise
    if passed.is_stream:
        response = event_stream(_events(passed), passed.close)
    else:
        with closing(passed):
            response = Response(b"".join(passed.received))
    response.content_type = passed.content_type
    return response


def _refuse_what_is_not_passed(endpoint: str, given: Mapping[str, Any]) -> None:
    if given.get("model") in [*ROUTED]:
        raise UnknownModel(
            f"model is {seen(given['model'])}, which only /v1/chat/completions routes: ask there, "
            f"or name a provider's own model, because {endpoint} are passed on as they come",
            param="model",
        )
    holder = who()
    if holder.counts_dollars or holder.allowed_arms is not None:
        raise Forbidden(
            f"what {endpoint} costs is not known here, nor which arm answers: it needs a key "
            "without a budget and for all arms"
        )
    if parts().router.terms.sandbox:
        raise NotServed(
            f"the sandbox does not take {endpoint}, only a provider does: set the providers' keys, "
            "and TURNPIKE_SANDBOX to auto or off"
        )


def _events(passed: Passed) -> Iterator[bytes]:
    """Yield whole events as they came; one that is cut is none, and an error stands in its place.

    That is OpenAI's event, and holds the envelope besides: their clients raise nothing else.
    """
    number, pending = 0, b""
    try:
        for piece in passed.received:
            looked = max(0, len(pending) - 3)  # an end may have come in two pieces
            pending += piece
            if ends := [found.end() for found in _END_OF_EVENT.finditer(pending, looked)]:
                number += len(ends)
                yield pending[: ends[-1]]
                pending = pending[ends[-1] :]
        if pending:
            yield pending
    except TurnpikeError as error:
        yield _broken(broke_off(error), number)
    except Exception:
        yield _broken(unreadable(HTTPStatus.INTERNAL_SERVER_ERROR), number)
        raise
    finally:
        passed.close()


def _broken(told: Mapping[str, Any], number: int) -> bytes:
    data = {**told["error"], **told, "type": "error", "sequence_number": number}
    return f"event: error\n{event(data)}".encode()


def _signed(response: Response, turn: Turn, attempts: int, durable: Durable) -> Response:
    """Return the response with what OpenAI's format has no place for."""
    told = {
        "decision-id": turn.decision.id,
        "feedback-token": parts().keyring.feedback_tokens.of(turn.decision),
        "arm": turn.arm.name,
        "attempts": attempts,
        "cache": turn.cache,
        "propensity": f"{turn.decision.propensity:.12g}",
        "durable": durable,
        "sandbox": json.dumps(turn.decision.sandbox),
    }
    return signed(response, told)
