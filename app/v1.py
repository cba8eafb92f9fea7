"""The drop-in endpoints under /v1: a client of OpenAI's changes its base URL and nothing else."""

import json
from typing import Any

from flask import Blueprint, Response, jsonify, request

from app.body import json_body
from app.chat import PREFIX, ChatRequest, frames, whole, wished
from app.models import described, listed
from app.openapi import endpoint
from app.responses import Anything
from app.routes import ASKING, event_stream, parts, require_key
from app.schemas import checked
from app.turn import Turn
from policy.errors import UnknownModel

v1 = Blueprint("v1", __name__, url_prefix="/v1")
v1.before_request(require_key)


@v1.post("/chat/completions")
@endpoint(ChatRequest, Anything, (*ASKING, UnknownModel), streams=True)
def chat_completions() -> Response:
    """Answer as OpenAI's chat completions do: `auto` routes, the name of an arm or model pins."""
    given = json_body(request, parts().settings.max_body_bytes)
    asked = checked(ChatRequest, wished(request.headers) | given)
    ask = asked.ask(parts().catalogue().arms)
    if ask.stream:
        answering = parts().router.stream(ask)
        response = event_stream(frames(answering, asked.wants_usage), answering)
        return _signed(response, answering.turn, answering.attempts)
    completion = parts().router.complete(ask)
    answer = json.dumps(whole(completion), allow_nan=False)
    response = Response(answer, mimetype="application/json")
    response.headers[PREFIX + "cost-usd"] = f"{completion.cost_usd:.12g}"
    return _signed(response, completion.turn, completion.attempts)


@v1.get("/models")
@endpoint(None, Anything, ())
def models() -> Response:
    """List every name that `model` may have, as OpenAI lists models."""
    return jsonify(listed(parts().catalogue().arms))


@v1.get("/models/<path:model>")
@endpoint(None, Anything, (UnknownModel,))
def one_model(model: str) -> Response:
    """Describe one name that `model` may have."""
    return jsonify(described(model, parts().catalogue().arms))


def _signed(response: Response, turn: Turn, attempts: int) -> Response:
    """Return the response with what OpenAI's format has no place for."""
    told: dict[str, Any] = {
        "decision-id": turn.decision.id,
        "arm": turn.arm.name,
        "attempts": attempts,
        "cache": "miss",
        "propensity": f"{turn.decision.propensity:.12g}",
    }
    for name, value in told.items():
        response.headers[PREFIX + name] = str(value)
    return response
