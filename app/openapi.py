"""The OpenAPI document, made from the routes and their models, so that it cannot part from them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.errors import kind_of
from app.responses import ErrorResponse
from policy.errors import (
    InvalidInput,
    PayloadTooLarge,
    TurnpikeError,
    Unauthenticated,
    UnsupportedMediaType,
)

F = TypeVar("F", bound=Callable[..., Any])

WITH_BODY = (InvalidInput, PayloadTooLarge, UnsupportedMediaType)
REFERENCE = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a route takes, gives and raises."""

    request: type[BaseModel] | None
    response: type[BaseModel]
    errors: tuple[type[TurnpikeError], ...]
    streams: bool


def endpoint(
    request: type[BaseModel] | None,
    response: type[BaseModel],
    errors: Sequence[type[TurnpikeError]],
    streams: bool = False,
) -> Callable[[F], F]:
    """Declare what a view takes, gives and raises; its docstring is the description."""

    def declare(view: F) -> F:
        body = WITH_BODY if request is not None else ()
        view.__endpoint__ = Endpoint(request, response, (*errors, *body), streams)  # type: ignore[attr-defined]
        return view

    return declare


def document(app: Flask, secured: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an application."""
    declared = list(_declared(app))
    models: set[type[BaseModel]] = {ErrorResponse}
    for *_, each in declared:
        models |= {each.response} if each.request is None else {each.request, each.response}
    _, schemas = models_json_schema(
        [(model, "validation") for model in sorted(models, key=_name)],
        ref_template=REFERENCE,
    )
    paths: dict[str, dict[str, Any]] = {}
    for path, method, view, each in declared:
        paths.setdefault(path, {})[method] = _operation(path, view, each, secured)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Turnpike", "version": "0.1.0", "summary": "The LLM router that learns"},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }
    if secured:
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return made


def _declared(app: Flask) -> Iterator[tuple[str, str, Callable[..., Any], Endpoint]]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        if hasattr(view, "__endpoint__"):
            path = rule.rule.replace("<", "{").replace(">", "}")
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method.lower(), view, view.__endpoint__


def _operation(
    path: str, view: Callable[..., Any], each: Endpoint, secured: bool
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": view.__name__,
        "summary": (view.__doc__ or "").strip(),
        "responses": _responses(each, secured),
    }
    if each.request is not None:
        made["requestBody"] = {"required": True, "content": _json(each.request)}
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    if names:
        made["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if secured:
        made["security"] = [{"key": []}]
    return made


def _responses(each: Endpoint, secured: bool) -> dict[str, Any]:
    content = _json(each.response)
    if each.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    errors = (*each.errors, TurnpikeError, *((Unauthenticated,) if secured else ()))
    told = {"200": {"description": "OK", "content": content}}
    for status in sorted({kind_of(error).status for error in errors}):
        told[str(status.value)] = {
            "description": HTTPStatus(status).phrase,
            "content": _json(ErrorResponse),
        }
    return told


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}}


def _name(model: type[BaseModel]) -> str:
    return model.__name__
