"""Every error is told in the same words over HTTP, and says nothing that is not the caller's."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask, Response, g, redirect
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.exceptions import default_exceptions
from werkzeug.test import TestResponse

from app.api.errors import KINDS, STRAYS, envelope, install, kind_of
from app.commands.reference import error_codes
from policy import errors
from policy.errors import TurnpikeError, UpstreamBusy, UpstreamError

# reliability: status, type and default code of every class that a caller may meet.
CONTRACT = {
    TurnpikeError: (500, "server_error", "internal_error"),
    errors.ConfigError: (500, "server_error", "internal_error"),
    errors.DamagedFile: (500, "server_error", "internal_error"),
    errors.InvalidInput: (400, "invalid_request_error", "invalid_value"),
    errors.InvalidJson: (400, "invalid_request_error", "invalid_json"),
    errors.InvalidNumber: (400, "invalid_request_error", "invalid_number"),
    errors.TooDeep: (400, "invalid_request_error", "too_deep"),
    errors.MissingField: (400, "invalid_request_error", "missing_field"),
    errors.UnknownArm: (400, "invalid_request_error", "model_not_found"),
    errors.PayloadTooLarge: (413, "invalid_request_error", "request_too_large"),
    errors.NotServed: (404, "not_found_error", "endpoint_not_served"),
    errors.UnknownModel: (404, "invalid_request_error", "model_not_found"),
    errors.UnsupportedMediaType: (415, "invalid_request_error", "unsupported_media_type"),
    errors.Unauthenticated: (401, "authentication_error", "invalid_api_key"),
    errors.Forbidden: (403, "permission_error", "insufficient_scope"),
    errors.RateLimited: (429, "rate_limit_error", "rate_limited"),
    errors.NotReady: (503, "server_error", "not_ready"),
    errors.Draining: (503, "server_error", "draining"),
    errors.NoEligibleArm: (400, "invalid_request_error", "no_eligible_arm"),
    errors.PromptTooLong: (400, "invalid_request_error", "context_length_exceeded"),
    errors.BudgetExceeded: (429, "insufficient_quota", "budget_exceeded"),
    errors.CallerGone: (400, "invalid_request_error", "client_gone"),
    errors.UnknownDecision: (404, "not_found_error", "completion_not_found"),
    errors.FeedbackClosed: (410, "not_found_error", "feedback_window_closed"),
    errors.StoreUnavailable: (503, "server_error", "store_unavailable"),
    errors.UpstreamError: (502, "upstream_error", "upstream_bad_response"),
    errors.UpstreamRejected: (400, "invalid_request_error", "invalid_value"),
    errors.ContentFiltered: (400, "invalid_request_error", "content_filter"),
    errors.ContextLengthExceeded: (400, "invalid_request_error", "context_length_exceeded"),
    errors.ParameterUnsupported: (400, "invalid_request_error", "invalid_value"),
    errors.UpstreamUnauthorised: (502, "upstream_error", "upstream_auth"),
    errors.UpstreamBusy: (429, "rate_limit_error", "rate_limited"),
    errors.EveryArmWaits: (429, "rate_limit_error", "rate_limited"),
    errors.UpstreamTimeout: (504, "upstream_error", "upstream_timeout"),
    errors.UpstreamInvalid: (502, "upstream_error", "upstream_bad_response"),
}


def made(kind: type[TurnpikeError]) -> TurnpikeError:
    if issubclass(kind, errors.NoEligibleArm):
        return kind({"small": "no vision"})
    if issubclass(kind, UpstreamError):
        return kind("said so", arm="small")
    if issubclass(kind, errors.RateLimited):
        return kind("said so", retry_after_s=3.0)
    return kind("said so", param="prompt")


def descendants(kind: type[TurnpikeError]) -> Iterator[type[TurnpikeError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from descendants(each)


@pytest.fixture
def app() -> Flask:
    app = Flask("edge")
    install(app)
    app.extensions["raises"] = None

    @app.get("/raises")
    def raises() -> Response:
        if app.extensions["raises"] is not None:
            raise app.extensions["raises"]
        return Response(g.request_id)

    app.add_url_rule("/moved", view_func=lambda: redirect("/raises"), endpoint="moved")
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def answer_to(app: Flask, error: Exception) -> TestResponse:
    app.extensions["raises"] = error
    return app.test_client().get("/raises")


def test_the_contract_names_every_class() -> None:
    assert set(descendants(TurnpikeError)) == set(CONTRACT)
    assert set(KINDS) <= set(CONTRACT)


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_every_class_is_answered_as_the_contract_says(
    app: Flask, kind: type[TurnpikeError]
) -> None:
    status, said_type, code = CONTRACT[kind]
    answer = answer_to(app, made(kind))
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    told = answer.json["error"]
    assert told.pop("reasons", None) == getattr(made(kind), "reasons", None)
    assert set(told) == {"message", "type", "param", "code"}
    # A defect of ours is one code to the caller, whatever it is called among us.
    assert (told["type"], told["code"]) == (said_type, code)


def test_a_class_that_is_not_in_the_table_is_told_as_its_parent() -> None:
    assert errors.UpstreamInvalid not in KINDS
    assert kind_of(errors.UpstreamInvalid) == KINDS[UpstreamError]


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (UpstreamBusy("slow down", arm="small", retry_after_s=1.2), "2"),
        (UpstreamBusy("slow down", arm="small", retry_after_s=0.0), "5"),
        (UpstreamBusy("slow down", arm="small"), "5"),
        (errors.StoreUnavailable("the disk is full"), "5"),
        (errors.FeedbackClosed("too old"), None),
    ],
)
def test_who_may_come_again_is_told_when(
    app: Flask, error: TurnpikeError, retry_after: str | None
) -> None:
    assert answer_to(app, error).headers.get("retry-after") == retry_after


@pytest.mark.parametrize(("is_last", "told"), [(True, "false"), (False, None)])
def test_who_has_been_sent_round_the_arms_is_told_not_to_come_again(
    app: Flask, is_last: bool, told: str | None
) -> None:
    error = UpstreamError("it broke", arm="small")
    error.is_last = is_last
    assert answer_to(app, error).headers.get("x-should-retry") == told


def test_who_has_no_key_is_told_how_to_show_one(app: Flask) -> None:
    answer = answer_to(app, errors.Unauthenticated("no key"))
    assert answer.headers["www-authenticate"] == "Bearer"


def test_an_unknown_path_is_told_as_json(client: FlaskClient) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json["error"]["code"] == "not_found"
    assert "'/nowhere'" in answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["/{0.__class__}", "/%0a%0dx", "/" + "x" * 5_000, "/%00"])
def test_a_strange_path_is_only_a_path(client: FlaskClient, path: str) -> None:
    message = client.get(path).json["error"]["message"]
    assert message.isprintable()
    assert len(message) < 400


def test_an_http_error_in_no_table_is_told_by_its_name_under_a_code_that_is(app: Flask) -> None:
    from werkzeug.exceptions import ImATeapot

    answer = answer_to(app, ImATeapot())
    assert answer.status_code == 418
    told = answer.json["error"]
    assert (told["code"], told["message"]) == ("bad_request", "I'm a teapot")


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_a_code_that_is_in_no_table_cannot_be_raised(app: Flask, kind: type[TurnpikeError]) -> None:
    error = made(kind)
    error.code = "of_its_own"
    answer = answer_to(app, error)
    code = answer.json["error"]["code"]
    assert f"| {answer.status_code} |" in "".join(
        row for row in error_codes().splitlines() if f"`{code}`" in row
    )


@pytest.mark.parametrize("status", STRAYS)
def test_what_flask_raises_is_in_the_table_too(app: Flask, status: int) -> None:
    code = answer_to(app, default_exceptions[status]()).json["error"]["code"]
    assert any(row.startswith(f"| {int(status)} ") for row in error_codes().splitlines())
    assert f"`{code}`" in error_codes()


def test_a_redirect_is_no_error(client: FlaskClient) -> None:
    answer = client.get("/moved")
    assert answer.status_code == 302
    assert answer.headers["location"] == "/raises"


@pytest.mark.parametrize(
    "defect", [KeyError("sk-secret"), RecursionError("sk-secret"), MemoryError("sk-secret")]
)
def test_a_defect_is_logged_with_its_stack_and_not_shown(app: Flask, defect: Exception) -> None:
    with capture_logs() as logs:
        answer = answer_to(app, defect)
    assert answer.status_code == 500
    assert answer.json["error"]["code"] == "internal_error"
    assert "sk-secret" not in answer.text
    assert "Traceback" not in answer.text
    assert [(log["log_level"], log["exc_info"]) for log in logs] == [("error", defect)]


def test_a_damaged_file_is_not_shown_to_the_caller(app: Flask) -> None:
    damaged = errors.DamagedFile("snapshots/0001.npz is cut short")
    with capture_logs() as logs:
        assert "snapshots" not in answer_to(app, damaged).text
    assert logs[0]["exc_info"] is damaged


def test_what_the_caller_did_wrong_is_not_logged(app: Flask, client: FlaskClient) -> None:
    with capture_logs() as logs:
        answer_to(app, errors.InvalidInput("prompt is '...': it must be short", param="prompt"))
        client.get("/nowhere")
    assert logs == []


def test_what_a_provider_did_wrong_is_logged_in_one_line(app: Flask) -> None:
    with capture_logs() as logs:
        answer_to(app, UpstreamError("small sent no answer", arm="small"))
    assert [(log["log_level"], log["code"]) for log in logs] == [
        ("warning", "upstream_bad_response")
    ]
    assert logs[0]["exc_info"] is None


@pytest.mark.parametrize("given", ["abc-123_X", "x" * 64])
def test_the_callers_request_id_is_kept(client: FlaskClient, given: str) -> None:
    answer = client.get("/raises", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == answer.text == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "ü", "a;b", "../x", "a\x7f"])
def test_a_bad_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    answer = client.get("/raises", headers={"X-Request-Id": given.encode().decode("latin-1")})
    assert re.fullmatch("req-[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/raises", "/nowhere", "/moved"])
def test_every_answer_has_a_request_id(client: FlaskClient, path: str) -> None:
    ids = {client.get(path).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_defect_has_a_request_id_too(app: Flask) -> None:
    assert answer_to(app, KeyError("x")).headers["x-request-id"].startswith("req-")


def test_a_stream_tells_an_error_in_the_same_words(app: Flask) -> None:
    cut = errors.UpstreamInvalid("small stopped in the middle", arm="small")
    assert envelope(cut) == answer_to(app, cut).json
