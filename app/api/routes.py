"""HTTP in, HTTP out: read, call the router, write."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Blueprint, Response, current_app, jsonify, request
from pydantic import BaseModel

from app.answers.clearing import clear
from app.api.access import needs, public, voter, who
from app.api.body import json_body
from app.api.errors import broke_off, unreadable
from app.api.openapi import STREAM, document, endpoint
from app.api.overview import overview
from app.api.responses import (
    Anything,
    ClearResponse,
    CompleteResponse,
    FeedbackResponse,
    HealthResponse,
    RouteResponse,
    TokensUsed,
)
from app.api.schemas import AskRequest, CompleteRequest, FeedbackRequest, NoQuery, checked
from app.api.wishes import with_wishes
from app.keys.feedback_tokens import FeedbackTokens
from app.mistakes import KEY_CHARS, seen
from app.routing.answering import Answering
from app.routing.turn import Completion
from app.routing.why import considered, why
from app.wiring import Parts
from policy import VERSION
from policy.errors import (
    FeedbackClosed,
    InvalidInput,
    NoEligibleArm,
    StoreUnavailable,
    TurnpikeError,
    UnknownArm,
    UnknownDecision,
    UpstreamBusy,
    UpstreamError,
    UpstreamTimeout,
)
from storage.erasing import transcripts
from upstream.answers import MEDIA

blueprint = Blueprint("turnpike", __name__)
STREAMS = (STREAM,)
DONE = "data: [DONE]\n\n"
A = TypeVar("A", bound=AskRequest)
M = TypeVar("M", bound=BaseModel)
FEEDBACK_BYTES = 1 << 16
"""Feedback with a token comes without a key, and is read before the token is known."""
ENCODER = json.JSONEncoder(allow_nan=False)
RATING = (UnknownDecision, FeedbackClosed, StoreUnavailable)
CHOOSING = (UnknownArm, NoEligibleArm, UpstreamBusy)
ASKING = (*CHOOSING, UpstreamError, UpstreamTimeout, StoreUnavailable)


@blueprint.post("/complete")
@needs("complete")
@endpoint(CompleteRequest, CompleteResponse, ASKING, also=STREAMS, decides=True)
def complete() -> Response:
    """Answer a prompt with the arm that is worth its price; streamed as server-sent events."""
    ask = asked(CompleteRequest).ask()
    if not ask.stream:
        completion = parts().router.complete(ask, who())
        plain = jsonify(completion_json(completion, parts().keyring.feedback_tokens))
        return signed(plain, {"cache": completion.turn.cache, "durable": completion.durable})
    answering = parts().router.stream(ask, who())
    response = event_stream(
        to_the_end(answering, _events(answering, parts().keyring.feedback_tokens)), answering.close
    )
    return signed(response, {"cache": answering.turn.cache, "durable": answering.durable})


@blueprint.post("/feedback")
@needs("feedback", token=True)
@endpoint(FeedbackRequest, FeedbackResponse, RATING)
def feedback() -> Response:
    """Take a thumb for a decision; acknowledged only when it is durable and learned."""
    raw = body(FeedbackRequest.example, FEEDBACK_BYTES)
    by_token = voter(raw.get("id"), raw.get("feedback_token"))
    given = checked(FeedbackRequest, raw)
    if by_token is None:
        rating = parts().observed.rate(given.vote, who().sees)
    else:
        rating = parts().observed.rate(given.browsers_vote, None)
    told = {"status": rating.status, "revision": rating.revision, "teaches": rating.teaches}
    return jsonify({"id": given.id, **told})


@blueprint.post("/route")
@needs("complete")
@endpoint(CompleteRequest, RouteResponse, CHOOSING)
def route() -> Response:
    """Say which arm would be asked now, and why; nobody is asked, nothing is recorded."""
    decision = parts().router.route(asked(CompleteRequest).ask(), who())
    return jsonify(
        {
            "arm": decision.arm,
            "propensity": decision.propensity,
            "policy": decision.policy,
            "policy_version": decision.policy_version,
            "arms": considered(decision),
            "ineligible": dict(decision.ineligible),
        }
    )


@blueprint.get("/decisions/<decision_id>")
@needs("read")
@endpoint(None, Anything, (UnknownDecision, StoreUnavailable), query=NoQuery)
def decision(decision_id: str) -> Response:
    """Tell why a decision went to its arm, what it brought, and what would have flipped it."""
    queried(NoQuery)
    log = parts().log
    found = log.decision(decision_id, who().sees)
    return jsonify(why(found, log.attempts(decision_id), transcripts(log.ask, decision_id)))


@blueprint.get("/policy")
@needs("read")
@endpoint(None, Anything, (StoreUnavailable,), query=NoQuery)
def policy() -> Response:
    """Show the whole policy: beliefs, shares, costs, the price of a dollar, the last retrains."""
    queried(NoQuery)
    return jsonify(overview(parts(), who()))


@blueprint.delete("/cache")
@needs("admin")
@endpoint(None, ClearResponse, (StoreUnavailable,), query=NoQuery)
def clear_cache() -> Response:
    """Forget every stored answer, whichever process has it."""
    queried(NoQuery)
    running = parts()
    return jsonify({"evicted": clear(running.cache, running.log)})


@blueprint.get("/healthz")
@public
@endpoint(None, HealthResponse, ())
def healthz() -> Response:
    """Say that the service is up."""
    running = parts()
    return jsonify(
        {
            "status": "ok",
            "version": VERSION,
            "sandbox": running.router.terms.sandbox,
            "policy_version": running.live.learned.policy_version,
            "uptime_s": time.time() - running.started_at_s,
        }
    )


@blueprint.get("/openapi.json")
@public
@endpoint(None, Anything, ())
def openapi() -> Response:
    """Describe this API in OpenAPI 3.1, made from the code."""
    return jsonify(document(current_app, secured=parts().keyring.asks))


def parts() -> Parts:
    """Return the running service."""
    running: Parts = current_app.extensions["turnpike"]
    return running


def body(example: str, most_bytes: int | None = None) -> dict[str, Any]:
    """Return the JSON object of the request, which may be such as the example.

    raises : UnsupportedMediaType, PayloadTooLarge, InvalidInput
    """
    allowed = parts().settings.max_body_bytes
    return json_body(request, min(allowed, most_bytes or allowed), example)


def asked(model: type[A]) -> A:
    """Return the request's body, with the wishes in its headers, as a checked model.

    raises : UnsupportedMediaType, PayloadTooLarge, InvalidInput
    """
    return checked(model, with_wishes(request.headers, body(model.example)))


def queried(model: type[M], **ours: str) -> M:
    """Return the parameters in the request's address, with `ours` over them, as a checked model.

    raises : InvalidInput, also for one that is given more than once
    """
    for name, given in request.args.lists():
        if len(given) > 1:
            raise InvalidInput(
                f"{seen(name)} is given {len(given)} times; it must be given once",
                param=name[:KEY_CHARS],
            )
    return checked(model, {**request.args.to_dict(), **ours})


def event_stream(events: Iterator[str] | Iterator[bytes], hang_up: Callable[[], None]) -> Response:
    """Return the response that sends the events of an answer, and ends its call when it ends."""
    response = Response(events, mimetype=STREAM)
    response.headers["cache-control"] = "no-store"
    response.headers["x-accel-buffering"] = "no"
    response.call_on_close(hang_up)
    return response


def signed(response: Response, told: Mapping[str, object]) -> Response:
    """Return the response with headers of ours."""
    response.headers.extend({f"x-turnpike-{name}": str(value) for name, value in told.items()})
    return response


def event(data: Mapping[str, Any]) -> str:
    r"""Return one server-sent event.

    >>> event({"text": "hi"})
    'data: {"text": "hi"}\n\n'
    """
    return f"data: {ENCODER.encode(data)}\n\n"


def completion_json(completion: Completion, tokens: FeedbackTokens) -> dict[str, Any]:
    """Return an answer as `/complete` shows it."""
    turn, ended = completion.turn, completion.ended
    return CompleteResponse(
        id=turn.decision.id,
        arm=turn.arm.name,
        model=completion.model,
        text=completion.text,
        finish_reason=ended.finish_reason,
        usage=TokensUsed(**asdict(ended.usage)),
        cost_usd=completion.cost_usd,
        latency_s=ended.latency_s,
        ttft_s=ended.ttft_s,
        cache=turn.cache,
        propensity=turn.decision.propensity,
        policy_version=turn.decision.policy_version,
        attempts=completion.attempts,
        sandbox=turn.decision.sandbox,
        feedback_token=tokens.of(turn.decision),
        tool_calls=completion.tool_calls,
        refusal=completion.refusal,
        **{name: ended.message.get(name) for name in MEDIA},
        continued_by=list(completion.continued_by),
    ).model_dump(exclude_none=False)


def to_the_end(answering: Answering, events: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    """Yield events as they are written: `[DONE]` last, or an error and no `[DONE]`."""
    try:
        yield from map(event, events)
    except TurnpikeError as error:
        turn = answering.turn
        yield event(broke_off(error, decision_id=turn.decision.id, arm=turn.arm.name))
        return
    except Exception:
        yield event(unreadable(HTTPStatus.INTERNAL_SERVER_ERROR))
        raise
    finally:
        answering.close()
    if answering.durable != "log":  # too late for a header, and a comment disturbs no client
        yield f": durable={answering.durable}\n\n"
    yield DONE


def _events(answering: Answering, tokens: FeedbackTokens) -> Iterator[dict[str, Any]]:
    """Yield the answer as events: who answers, pieces, then the whole."""
    decision = answering.turn.decision
    told = {"id": decision.id, "feedback_token": tokens.of(decision)}
    yield {**told, "arm": answering.turn.arm.name}
    for text in answering:
        yield {"text": text}
    yield completion_json(answering.completion, tokens)
