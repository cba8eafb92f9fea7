"""One table: which error is which HTTP status; and every error page as the same JSON envelope."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from math import ceil
from typing import Any

from flask import Flask, Response, g, jsonify, request
from structlog import get_logger
from structlog.contextvars import bind_contextvars, clear_contextvars
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response as WsgiResponse

from app.processes.journal import told
from policy import errors
from policy.errors import TurnpikeError

LOGGER = get_logger()
REQUEST_ID = "x-request-id"
GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
RETRY_AFTER_S = 5.0
PATH_CHARS = 200


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """How an error is told over HTTP."""

    status: HTTPStatus
    type: str


INVALID = "invalid_request_error"
UPSTREAM = "upstream_error"

# The nearest class in an error's line of ancestors counts.
KINDS: Mapping[type[TurnpikeError], ErrorKind] = {
    TurnpikeError: ErrorKind(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"),
    errors.InvalidInput: ErrorKind(HTTPStatus.BAD_REQUEST, INVALID),
    errors.PayloadTooLarge: ErrorKind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, INVALID),
    errors.UnsupportedMediaType: ErrorKind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, INVALID),
    errors.UnknownModel: ErrorKind(HTTPStatus.NOT_FOUND, INVALID),
    errors.Unauthenticated: ErrorKind(HTTPStatus.UNAUTHORIZED, "authentication_error"),
    errors.Forbidden: ErrorKind(HTTPStatus.FORBIDDEN, "permission_error"),
    errors.RateLimited: ErrorKind(HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    errors.NoEligibleArm: ErrorKind(HTTPStatus.BAD_REQUEST, INVALID),
    errors.NotServed: ErrorKind(HTTPStatus.NOT_FOUND, "not_found_error"),
    errors.BudgetExceeded: ErrorKind(HTTPStatus.TOO_MANY_REQUESTS, "insufficient_quota"),
    errors.UnknownDecision: ErrorKind(HTTPStatus.NOT_FOUND, "not_found_error"),
    errors.FeedbackClosed: ErrorKind(HTTPStatus.GONE, "not_found_error"),
    errors.StoreUnavailable: ErrorKind(HTTPStatus.SERVICE_UNAVAILABLE, "server_error"),
    errors.NotReady: ErrorKind(HTTPStatus.SERVICE_UNAVAILABLE, "server_error"),
    errors.Draining: ErrorKind(HTTPStatus.SERVICE_UNAVAILABLE, "server_error"),
    errors.CallerGone: ErrorKind(HTTPStatus.BAD_REQUEST, INVALID),
    errors.UpstreamError: ErrorKind(HTTPStatus.BAD_GATEWAY, UPSTREAM),
    errors.UpstreamRejected: ErrorKind(HTTPStatus.BAD_REQUEST, INVALID),
    errors.UpstreamBusy: ErrorKind(HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    errors.UpstreamTimeout: ErrorKind(HTTPStatus.GATEWAY_TIMEOUT, UPSTREAM),
}


@dataclass(frozen=True, slots=True)
class Stray:
    """How an error that Flask or Werkzeug raises is told: what the caller should do, and `when`."""

    type: str
    code: str
    says: str
    when: str


STRAYS: Mapping[int, Stray] = {
    HTTPStatus.BAD_REQUEST: Stray(
        INVALID,
        "bad_request",
        "the request cannot be read as HTTP, or ended before its body did; send it again whole",
        "The request cannot be read as HTTP, or its body ended too early.",
    ),
    HTTPStatus.NOT_FOUND: Stray(
        "not_found_error",
        "not_found",
        "there is no {path!r} here; of OpenAI's API there are /v1/chat/completions, /v1/models, "
        "/v1/embeddings and /v1/responses, and /openapi.json lists what there is besides",
        "There is no such path.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: Stray(
        INVALID,
        "method_not_allowed",
        "{method} is not allowed for {path!r}; the Allow header says what is",
        "The path does not take this method.",
    ),
    HTTPStatus.REQUEST_TIMEOUT: Stray(
        INVALID,
        "request_timeout",
        "the body did not come in time; send it at once, and on a faster line if that is slow",
        "The body did not come within 30 s, and a second more for each 50,000 bytes of it.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Stray(
        INVALID,
        errors.PayloadTooLarge.code,
        "the body is larger than this service takes; send less",
        "The request is larger than the service reads.",
    ),
    HTTPStatus.REQUEST_URI_TOO_LONG: Stray(
        INVALID,
        "bad_request",
        "the request line, which is the method and the path, is longer than this service reads",
        "The request line is longer than the service reads.",
    ),
    HTTPStatus.EXPECTATION_FAILED: Stray(
        INVALID,
        "bad_request",
        "Expect asks for what this service does not do; it must be 100-continue, or left out",
        "The header `Expect` is something else than `100-continue`.",
    ),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: Stray(
        INVALID,
        "bad_request",
        "the headers are more, or one of them is longer, than this service reads",
        "The headers are more, or one of them is longer, than the service reads.",
    ),
    HTTPStatus.NOT_IMPLEMENTED: Stray(
        INVALID,
        "bad_request",
        "Transfer-Encoding is none that this service reads; it must be chunked, or left out",
        "The header `Transfer-Encoding` is something else than `chunked`.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: Stray(
        "server_error",
        TurnpikeError.code,
        "something of ours broke; the x-request-id of this answer finds it in the service's log",
        "Something of ours broke.",
    ),
}


def kind_of(error: type[TurnpikeError]) -> ErrorKind:
    """Return how errors of a class are told, by the nearest ancestor in the table."""
    return next(KINDS[each] for each in error.__mro__ if each in KINDS)


def envelope(error: TurnpikeError) -> dict[str, Any]:
    """Return the error as every path and every stream shows it; of our own defects nothing.

    The code is that of its class, because those are the codes that the documentation lists.

    >>> envelope(errors.InvalidInput("no prompt", param="prompt"))["error"]["code"]
    'invalid_value'
    """
    kind = kind_of(type(error))
    if kind.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        broken = STRAYS[kind.status]
        return _enveloped(broken.type, broken.code, broken.says)
    told = _enveloped(kind.type, type(error).code, error.message, error.param)
    if isinstance(error, errors.NoEligibleArm):
        told["error"]["reasons"] = error.reasons
    return told


def broke_off(error: TurnpikeError, **whose: str) -> dict[str, Any]:
    """Return the envelope that ends an answer which has begun; the service's lines tell of it."""
    _tell("answer broke off", error, **whose)
    return envelope(error)


def unreadable(status: HTTPStatus, limit: str | None = None) -> dict[str, Any]:
    """Return the envelope of what has no error of ours, such as what the server refuses unread.

    `limit` is what would be right, where the server has a figure for it.
    """
    stray = STRAYS[status]
    says = stray.says if limit is None else f"{stray.says}; {limit}"
    return _enveloped(stray.type, stray.code, says)


def named(given: str = "", **whose: str) -> str:
    """Return the id of a request, a new one if none that is good is given; its lines have it."""
    identity = given if GOOD_REQUEST_ID.fullmatch(given) else f"req-{secrets.token_hex(16)}"
    clear_contextvars()
    bind_contextvars(request_id=identity, **whose)
    return identity


def install(app: Flask) -> None:
    """Answer every error of this application with the envelope, and name every request."""
    app.logger.disabled = True  # it would tell each defect a second time, without the request id
    app.register_error_handler(TurnpikeError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.before_request(_name_request)
    app.after_request(_tell_request_id)


def _enveloped(kind: str, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _ours(error: TurnpikeError) -> Response:
    """Answer what we raise on purpose; what the caller cannot mend is logged too."""
    status = kind_of(type(error)).status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _tell("request failed", error)
    response = jsonify(envelope(error))
    response.status_code = status
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        asked_s = getattr(error, "retry_after_s", None)
        response.headers["retry-after"] = str(max(1, ceil(asked_s or RETRY_AFTER_S)))
    if isinstance(error, errors.UpstreamError) and error.is_last:
        # The arms have been tried already: a client that tries again only does it all once more.
        response.headers["x-should-retry"] = "false"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = "Bearer"
    return response


def _tell(what: str, error: TurnpikeError, **whose: str) -> None:
    is_ours = kind_of(type(error)).status == HTTPStatus.INTERNAL_SERVER_ERROR
    LOGGER.warning(what, **{**whose, **told(error)}, exc_info=error if is_ours else None)


def _http(error: HTTPException) -> WsgiResponse:
    """Answer what Flask and Werkzeug raise; their headers stay, `Allow` among them."""
    if isinstance(error, InternalServerError):
        LOGGER.error("a defect of ours", exc_info=error.original_exception or error)
    answer = error.get_response()
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return answer  # a redirect, or something that a view has made whole
    # One that is in no table is told by its name, under a code that is.
    unknown = replace(STRAYS[HTTPStatus.BAD_REQUEST], says=error.name)
    stray = STRAYS.get(answer.status_code, unknown)
    says = stray.says.format(method=request.method, path=request.path[:PATH_CHARS])
    answer.data = json.dumps(_enveloped(stray.type, stray.code, says))
    answer.content_type = "application/json"
    return answer


def _name_request() -> None:
    given = request.headers.get(REQUEST_ID, "")
    g.request_id = named(given, method=request.method, path=request.path[:PATH_CHARS])


def _tell_request_id(response: Response) -> Response:
    response.headers[REQUEST_ID] = g.request_id
    return response
