"""One table: which error is which HTTP status; and every error page as the same JSON envelope."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, request
from structlog import get_logger
from werkzeug.exceptions import HTTPException, InternalServerError

from app.ids import decision_id
from policy import errors
from policy.errors import TurnpikeError

LOGGER = get_logger()
REQUEST_ID = "x-request-id"
GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """How an error is told over HTTP."""

    status: HTTPStatus
    type: str


INVALID = "invalid_request_error"
UPSTREAM = "upstream_error"

# The nearest class in an error's line of ancestors counts.
KINDS: Mapping[type[TurnpikeError], Kind] = {
    TurnpikeError: Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"),
    errors.InvalidInput: Kind(HTTPStatus.BAD_REQUEST, INVALID),
    errors.PayloadTooLarge: Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, INVALID),
    errors.UnsupportedMediaType: Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, INVALID),
    errors.Unauthenticated: Kind(HTTPStatus.UNAUTHORIZED, "authentication_error"),
    errors.NoEligibleArm: Kind(HTTPStatus.BAD_REQUEST, INVALID),
    errors.UnknownDecision: Kind(HTTPStatus.NOT_FOUND, "not_found_error"),
    errors.FeedbackClosed: Kind(HTTPStatus.GONE, "not_found_error"),
    errors.StoreUnavailable: Kind(HTTPStatus.SERVICE_UNAVAILABLE, "server_error"),
    errors.UpstreamError: Kind(HTTPStatus.BAD_GATEWAY, UPSTREAM),
    errors.UpstreamRejected: Kind(HTTPStatus.BAD_REQUEST, INVALID),
    errors.UpstreamBusy: Kind(HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    errors.UpstreamTimeout: Kind(HTTPStatus.GATEWAY_TIMEOUT, UPSTREAM),
}

HTTP_CODES: Mapping[int, tuple[str, str]] = {
    HTTPStatus.NOT_FOUND: ("not_found_error", "not_found"),
    HTTPStatus.METHOD_NOT_ALLOWED: (INVALID, "method_not_allowed"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (INVALID, "request_too_large"),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("server_error", "internal_error"),
}


def kind_of(error: type[TurnpikeError]) -> Kind:
    """Return how errors of a class are told, by the nearest ancestor in the table."""
    return next(KINDS[each] for each in error.__mro__ if each in KINDS)


def envelope(error: TurnpikeError) -> dict[str, Any]:
    """Return the error as every path and every stream shows it.

    >>> envelope(errors.InvalidInput("no prompt", param="prompt"))["error"]["code"]
    'invalid_value'
    """
    told = {
        "message": error.message,
        "type": kind_of(type(error)).type,
        "param": error.param,
        "code": error.code,
    }
    return {"error": told}


def install(app: Flask) -> None:
    """Answer every error of this application with the envelope, and name every request."""
    app.register_error_handler(TurnpikeError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.before_request(_name_request)
    app.after_request(_tell_request_id)


def _ours(error: TurnpikeError) -> Response:
    kind = kind_of(type(error))
    if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        LOGGER.warning("request failed", code=error.code, message=error.message, **_where())
    response = jsonify(envelope(error))
    response.status_code = kind.status
    if kind.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        asked = getattr(error, "retry_after_s", None)
        response.headers["retry-after"] = str(round(asked or RETRY_AFTER_S) or 1)
    if kind.status == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _http(error: HTTPException) -> Response:
    """Answer what Flask and Werkzeug raise; their headers stay, `Allow` among them."""
    if isinstance(error, InternalServerError):
        LOGGER.error("a defect", exc_info=error.original_exception or error, **_where())
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    kind, code = HTTP_CODES.get(status, (INVALID, HTTPStatus(status).name.lower()))
    response = jsonify(
        {"error": {"message": _message(status), "type": kind, "param": None, "code": code}}
    )
    response.status_code = status
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _message(status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return f"there is no {request.path[:200]!r} here; /openapi.json lists what there is"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not allowed here; the Allow header says what is"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "something of ours broke; the request id finds it in the log of the service"
    return HTTPStatus(status).description or HTTPStatus(status).phrase


def _where() -> dict[str, str]:
    return {"request_id": g.get("request_id", ""), "path": request.path[:200]}


def _name_request() -> None:
    given = request.headers.get(REQUEST_ID, "")
    g.request_id = given if GOOD_REQUEST_ID.fullmatch(given) else decision_id()


def _tell_request_id(response: Response) -> Response:
    response.headers[REQUEST_ID] = g.get("request_id") or decision_id()
    return response
