"""The OpenAPI document says what the service does: every path, every model, every error."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, jsonify
from pydantic import BaseModel

from app.api.openapi import document, endpoint
from app.api.routes import blueprint
from app.api.schemas import CompleteRequest, FeedbackRequest
from policy.errors import UnknownDecision, UpstreamBusy
from tests.app.running import Running

METHODS = {"get", "post", "delete"}


class Answer(BaseModel):
    text: str


@endpoint(CompleteRequest, Answer, (UpstreamBusy,), also=("text/event-stream",))
def ask() -> Any:
    """Answer
    a prompt.
    """
    return jsonify()


@endpoint(None, Answer, (UnknownDecision,))
def look(number: int, name: str) -> Any:
    """Look something up."""
    return jsonify(number, name)


def undeclared() -> Any:
    return jsonify()


@pytest.fixture(scope="module")
def small() -> Flask:
    made = Blueprint("small", __name__)
    made.post("/ask")(ask)
    made.get("/look/<int(min=1):number>/<name>")(look)
    made.get("/undeclared")(undeclared)
    app = Flask(__name__)
    app.register_blueprint(made)
    return app


@pytest.fixture(scope="module")
def service() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(blueprint)
    return app


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    paths = described["paths"]
    return {(path, method): paths[path][method] for path in paths for method in paths[path]}


def test_every_route_of_the_service_is_described_and_no_other(service: Flask) -> None:
    routed = {
        (re.sub("<([a-z_]+)>", r"{\1}", rule.rule), method.lower())
        for rule in service.url_map.iter_rules()
        for method in rule.methods or ()
        if method.lower() in METHODS
    }
    assert operations(document(service, secured=False)).keys() == routed


def test_every_reference_leads_somewhere(service: Flask) -> None:
    described = document(service, secured=True)
    found = set(references(described))
    assert found
    defined = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert found <= defined


def test_every_operation_has_a_name_of_its_own_and_a_sentence(service: Flask) -> None:
    found = operations(document(service, secured=False)).values()
    assert len({each["operationId"] for each in found}) == len(found)
    assert all(re.fullmatch(r"[A-Z].*\.", each["summary"]) for each in found)


def test_what_is_described_of_a_body_is_what_is_checked(service: Flask) -> None:
    schemas = document(service, secured=False)["components"]["schemas"]
    complete, feedback = schemas["CompleteRequest"], schemas["FeedbackRequest"]
    assert complete["properties"].keys() == CompleteRequest.model_fields.keys()
    assert complete["additionalProperties"] is True
    assert feedback["properties"].keys() == FeedbackRequest.model_fields.keys()
    assert feedback["additionalProperties"] is False
    assert feedback["required"] == ["id"]


def test_an_undeclared_route_is_not_described(small: Flask) -> None:
    assert document(small, secured=False)["paths"].keys() == {"/ask", "/look/{number}/{name}"}


def test_arguments_of_a_path_are_parameters(small: Flask) -> None:
    look = document(small, secured=False)["paths"]["/look/{number}/{name}"]["get"]
    assert {each["name"] for each in look["parameters"]} == {"number", "name"}
    assert "requestBody" not in look


def test_a_stream_and_a_plain_answer_are_both_described(small: Flask) -> None:
    found = document(small, secured=False)["paths"]
    assert found["/ask"]["post"]["responses"]["200"]["content"].keys() == {
        "application/json",
        "text/event-stream",
    }
    look = found["/look/{number}/{name}"]["get"]
    assert look["responses"]["200"]["content"].keys() == {"application/json"}


def test_each_status_names_its_codes(small: Flask) -> None:
    found = document(small, secured=True)["paths"]
    told = {
        status: answer["description"]
        for status, answer in found["/ask"]["post"]["responses"].items()
    }
    assert told == {
        "200": "OK",
        "400": "Bad Request: invalid_json, invalid_number, invalid_value, missing_field, too_deep",
        "401": "Unauthorized: invalid_api_key",
        "403": "Forbidden: insufficient_scope",
        "413": "Request Entity Too Large: request_too_large",
        "415": "Unsupported Media Type: unsupported_media_type",
        "429": "Too Many Requests: rate_limited",
        "500": "Internal Server Error: internal_error",
    }
    look = found["/look/{number}/{name}"]["get"]
    assert look["responses"].keys() == {"200", "401", "403", "404", "429", "500"}


def test_a_sentence_over_two_lines_is_one_line(small: Flask) -> None:
    assert document(small, secured=False)["paths"]["/ask"]["post"]["summary"] == "Answer a prompt."


def test_the_key_is_asked_for_where_it_is_needed(service: Flask) -> None:
    described = document(service, secured=True)
    assert described["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    asking = {path for (path, _), each in operations(described).items() if "security" in each}
    assert asking == described["paths"].keys() - {"/healthz", "/openapi.json"}


def test_without_a_key_none_is_asked_for(service: Flask) -> None:
    described = document(service, secured=False)
    assert "securitySchemes" not in described["components"]
    assert not any("security" in each for each in operations(described).values())


def test_a_page_that_is_no_json_says_what_it_is(shared: Running) -> None:
    told = shared.get("/openapi.json")["paths"]["/metrics"]["get"]["responses"]["200"]
    assert set(told["content"]) == {"text/plain"}
