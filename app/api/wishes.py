"""Wishes that come as headers, for clients whose body cannot be changed."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from werkzeug.datastructures import Headers

from app.api.schemas import GOOD_SESSION, Wishes
from app.mistakes import right, seen
from policy.errors import InvalidInput

PREFIX = "x-turnpike-"
FIELDS = {PREFIX + name.replace("_", "-"): name for name in Wishes.model_fields}
HEADERS = {name: header for header, name in FIELDS.items()}
THEIR_SESSIONS = ("x-session-id", "x-conversation-id")
THEIR_SESSION = "session_id"  # OpenRouter's, in the body
LISTED = ("models", "fallbacks")  # with commas between


def with_wishes(headers: Headers, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with the wishes that came as headers.

    raises : InvalidInput naming the header, or both places of a wish that is two different ones

    >>> with_wishes(Headers({"x-turnpike-models": "a, b"}), {"prompt": "hi"})
    {'prompt': 'hi', 'models': ['a', 'b']}
    """
    wishes = wished(headers)
    for name, value in wishes.items():
        if body.get(name) not in (None, value):
            raise InvalidInput(
                f"{name} is {seen(body[name])} while {HEADERS[name]} says {seen(value)}; leave out "
                "one of the two",
                param=name,
            )
    wishes = _session_of(headers, body) | wishes
    told = {name: each for name, each in body.items() if name != THEIR_SESSION}
    return {**told, **{name: each for name, each in wishes.items() if told.get(name) is None}}


def wished(headers: Headers) -> dict[str, Any]:
    """Return the wishes that came as headers, by the name of their field.

    raises : InvalidInput naming the header

    >>> wished(Headers({"x-turnpike-explore": "false", "x-turnpike-models": "a, b"}))
    {'explore': False, 'models': ['a', 'b']}
    """
    given = {
        _field(header): value for header, value in headers if header.lower().startswith(PREFIX)
    }
    if not given:
        return {}
    listed = {name: given.pop(name) for name in LISTED if name in given}
    try:
        wishes = Wishes.model_validate_strings(given).model_dump(exclude_unset=True)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        header = HEADERS[str(found["loc"][0])]
        message = f"{header} is {seen(found['input'])}: {right(found)}"
        raise InvalidInput(message, param=header) from error
    for name, value in listed.items():
        wishes[name] = [each.strip() for each in value.split(",")]
        if not all(wishes[name]):
            raise InvalidInput(
                f"{HEADERS[name]} is {seen(value)}: it must be names with commas between",
                param=HEADERS[name],
            )
    return wishes


def _session_of(headers: Headers, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the session that a client names for purposes of its own, if it is a name here too."""
    named = (body.get(THEIR_SESSION), *map(headers.get, THEIR_SESSIONS))
    found = next(
        (each for each in named if isinstance(each, str) and GOOD_SESSION.fullmatch(each)), None
    )
    return {} if found is None else {"session": found}


def _field(header: str) -> str:
    header = header.lower()
    if header not in FIELDS:
        raise InvalidInput(
            f"{seen(header)} is no header here; those of ours are {', '.join(FIELDS)}", param=header
        )
    return FIELDS[header]
