"""What is made up for a schema fits it: pydantic, which writes the schemas, reads it back."""

import datetime
import json
import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from policy.errors import InvalidInput
from upstream.minimal import MOST_CHARS, minimal


class Means(StrEnum):
    TRAIN = "train"
    FOOT = "foot"


class Stop(BaseModel):
    city: str
    then: "Stop | None"


class Leaf(BaseModel):
    kind: Literal["leaf"]


class Branch(BaseModel):
    kind: Literal["branch"]
    left: "Branch | Leaf"


class Trip(BaseModel):
    city: Annotated[str, Field(min_length=9, max_length=12)]
    code: Annotated[str, Field(max_length=2)]
    means: Means
    days: Annotated[int, Field(ge=3, le=3)]
    hours: Annotated[int, Field(gt=100, multiple_of=24)]
    share: Annotated[float, Field(gt=0, lt=1)]
    below: Annotated[float, Field(lt=-7.5)]
    price: Decimal
    begins: datetime.date
    booked: datetime.datetime
    reference: uuid.UUID
    route: Stop
    tree: Branch
    seats: Annotated[list[int], Field(min_length=2)]
    pair: tuple[str, bool]
    notes: dict[str, str]
    other: Any
    nothing: None
    unset: str = "left out"


@pytest.mark.parametrize("kind", [Trip, Stop, Branch, list[Trip], int | str, Means])
def test_pydantic_takes_what_is_made_up_for_its_own_schema(kind: Any) -> None:
    adapter = TypeAdapter(kind)
    adapter.validate_json(json.dumps(minimal(adapter.json_schema())))


@given(st.integers(), st.integers(0, 5), st.integers(1, 9), st.booleans(), st.booleans())
def test_a_whole_number_keeps_to_its_bounds(
    low: int, room: int, step: int, strict: bool, up: bool
) -> None:
    least, most = ("exclusiveMinimum", "exclusiveMaximum") if strict else ("minimum", "maximum")
    high = low + step + room + (1 if strict else 0)
    asked = {"type": "integer", "multipleOf": step, **({least: low} if up else {}), most: high}
    value = minimal(asked)
    assert value % step == 0
    assert low + strict <= value or not up
    assert value <= high - strict


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, None),
        ({"const": 0, "type": "string"}, 0),
        ({"type": ["string", "null"]}, "sandbox"),
        ({"type": "object", "required": ["a"]}, {"a": None}),
        ({"type": "object", "required": ["a"], "additionalProperties": {"const": 1}}, {"a": 1}),
        ({"allOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"type": "boolean"}}}, False),
        ({"type": "integer", "minimum": float("nan"), "maximum": "9", "multipleOf": True}, 0),
        ({"type": "array", "minItems": -1, "prefixItems": 5}, []),
        ({"type": "object", "properties": [], "required": "ab"}, {}),
        ({"type": {}, "enum": 7, "anyOf": {}, "$ref": 3}, None),
    ],
)
def test_what_says_little_or_is_no_schema_gets_something(schema: Any, value: Any) -> None:
    assert minimal(schema) == value


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


DOUBLING = {f"d{n}": {"type": "array", "minItems": 2, "items": {"$ref": f"#/$defs/d{n + 1}"}}
            for n in range(60)}  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "#"}, "'#' in the schema must hold has no end"),
        ({"$ref": "#/$defs/none"}, "refers to '#/\\$defs/none', which is not in it"),
        ({"$ref": "https://example.com/x"}, "which is not in it"),
        ({"type": "string", "minLength": 10**12}, f"more than {MOST_CHARS} characters"),
        ({"type": "array", "minItems": 10**12}, f"more than {MOST_CHARS} characters"),
        ({"$ref": "#/$defs/d0", "$defs": DOUBLING | {"d60": {}}}, f"more than {MOST_CHARS}"),
        (nested(5_000), "nested too deeply"),
    ],
)
def test_what_cannot_be_made_up_is_refused_in_words(schema: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        minimal(schema)
