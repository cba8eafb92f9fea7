"""The OpenAPI document, made from the routes and their models, so that it cannot part from them."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from app.api.access import scope_of
from app.api.errors import kind_of
from app.api.responses import ErrorResponse
from policy import VERSION
from policy.errors import (
    Forbidden,
    InvalidInput,
    InvalidJson,
    InvalidNumber,
    MissingField,
    PayloadTooLarge,
    RateLimited,
    TooDeep,
    TurnpikeError,
    Unauthenticated,
    UnsupportedMediaType,
)

F = TypeVar("F", bound=Callable[..., Any])

GUARDED = (Unauthenticated, Forbidden, RateLimited)
WITH_BODY = (
    InvalidInput,
    InvalidJson,
    InvalidNumber,
    TooDeep,
    MissingField,
    PayloadTooLarge,
    UnsupportedMediaType,
)
REFERENCE = "#/components/schemas/{model}"
KEY = "key"
STREAM = "text/event-stream"
TEXT = {"type": "string"}
EVENT = {
    "description": "One event of the stream; its data is JSON, or [DONE] after the last.",
    "type": "object",
    "required": ["data"],
    "properties": {"data": TEXT, "event": TEXT},
}
ID = "$response.body#/id"
LINKS = {
    "rate": {"operationId": "feedback", "requestBody": {"id": ID, "thumbs": "up"}},
    "why": {"operationId": "decision", "parameters": {"decision_id": ID}},
}
"""What can be done with the id of a decision."""

_ARGUMENT = re.compile(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>")  # <name> or <converter:name>


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a route takes, gives and raises; `response` is what it gives as JSON, None if never."""

    request: type[BaseModel] | None
    response: type[BaseModel] | None
    errors: tuple[type[TurnpikeError], ...]
    query: type[BaseModel] | None
    also: tuple[str, ...]
    decides: bool

    @property
    def models(self) -> set[type[BaseModel]]:
        """Return the models of its bodies."""
        return {model for model in (self.request, self.response) if model is not None}


_DECLARED: dict[Callable[..., Any], Endpoint] = {}


def endpoint(
    request: type[BaseModel] | None,
    response: type[BaseModel] | None,
    errors: Sequence[type[TurnpikeError]],
    *,
    query: type[BaseModel] | None = None,
    also: Sequence[str] = (),
    decides: bool = False,
) -> Callable[[F], F]:
    """Declare what a view takes, gives and raises; its docstring is the description.

    `query` are its parameters, `also` the media types it may give beside or instead of JSON;
    `decides` says that the `id` of its answer is a decision's.
    """

    def declare(view: F) -> F:
        asked = WITH_BODY if request is not None else (InvalidInput,) if query is not None else ()
        raised = (*errors, *asked)
        _DECLARED[view] = Endpoint(request, response, raised, query, tuple(also), decides)
        return view

    return declare


def document(app: Flask, secured: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an application.

    `secured` says that a key is asked for, except by public views.
    """
    models: set[type[BaseModel]] = {ErrorResponse}
    paths: dict[str, dict[str, Any]] = {}
    for rule, view, each in _declared(app):
        models |= each.models
        path = _ARGUMENT.sub(r"{\1}", rule.rule)
        operation = _operation(rule, view, each, secured and scope_of(view) is not None)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = operation
    components: dict[str, Any] = {"schemas": _schemas(models)}
    if secured:
        components["securitySchemes"] = {KEY: {"type": "http", "scheme": "bearer"}}
    about = {"title": "Turnpike", "version": VERSION, "summary": "The LLM router that learns"}
    return {"openapi": "3.1.0", "info": about, "paths": paths, "components": components}


def _declared(app: Flask) -> Iterator[tuple[Rule, Callable[..., Any], Endpoint]]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        if view in _DECLARED:
            yield rule, view, _DECLARED[view]


def _schemas(models: Collection[type[BaseModel]]) -> Any:
    """Return the JSON schema of every model, with those that they are made of."""
    by_name = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation") for model in by_name], ref_template=REFERENCE
    )
    return schemas["$defs"]


def _operation(
    rule: Rule, view: Callable[..., Any], each: Endpoint, secured: bool
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": view.__name__,
        "summary": " ".join((view.__doc__ or "").split()),
        "responses": _responses(each, secured),
    }
    if each.request is not None:
        made["requestBody"] = {"required": True, "content": _json(each.request)}
    parameters = [*_in_the_path(rule), *_in_the_query(each.query)]
    if parameters:
        made["parameters"] = parameters
    if secured:
        made["security"] = [{KEY: []}]
    return made


def _in_the_path(rule: Rule) -> Iterator[dict[str, Any]]:
    for name in sorted(rule.arguments):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_the_query(query: type[BaseModel] | None) -> Iterator[dict[str, Any]]:
    schema = {} if query is None else query.model_json_schema()
    for name, told in schema.get("properties", {}).items():
        about = told.pop("description", "")
        yield {"name": name, "in": "query", "description": about, "schema": told}


def _responses(each: Endpoint, secured: bool) -> dict[str, Any]:
    """Return what may come back: the answer, and for each status the codes that go with it."""
    content = {} if each.response is None else _json(each.response)
    content |= {media: {"schema": EVENT if media == STREAM else TEXT} for media in each.also}
    told: dict[str, Any] = {"200": {"description": "OK", "content": content}}
    if each.decides:
        told["200"]["links"] = LINKS
    codes: dict[int, set[str]] = {}
    for error in (*each.errors, TurnpikeError, *(GUARDED if secured else ())):
        codes.setdefault(kind_of(error).status, set()).add(error.code)
    for status in sorted(codes):
        description = f"{HTTPStatus(status).phrase}: {', '.join(sorted(codes[status]))}"
        told[str(int(status))] = {"description": description, "content": _json(ErrorResponse)}
    return told


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}}
