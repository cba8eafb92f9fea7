"""Mistakes are told with their place as a caller writes it, on one short line."""

import json
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from app.mistakes import KEY_CHARS, SEEN_CHARS, explained, json_path, place_of, right, seen

Nested = TypeAdapter(dict[str, str | list[dict[str, int]]])


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000,
        "a\nb\0\x1b[31m\u202e",
        ["x" * 99] * 99,
        ["\x7f\u202e\n"],
        {"k" * 99: {"k": [1] * 99}},
        10**60,
    ],
)
def test_a_value_is_shown_on_one_short_line(value: Any) -> None:
    assert seen(value).isprintable()
    assert len(seen(value)) <= SEEN_CHARS


@pytest.mark.parametrize(
    "value",
    [1, 0.5, True, False, None, [], {}, {"role": "user"}, ["a'b", 'c"d', "\u00e9"], [True, None]],
)
def test_a_short_value_is_shown_whole_as_json(value: Any) -> None:
    assert seen(value) == json.dumps(value, ensure_ascii=False)


def test_a_text_is_shown_in_the_quotes_of_the_sentence() -> None:
    assert (seen("hi"), seen("a\nb")) == ("'hi'", r"'a\nb'")


def test_a_large_value_costs_no_more_than_its_head() -> None:
    shown = []

    class Item:
        def __repr__(self) -> str:
            shown.append(self)
            return "item"

    seen([Item()] * 100_000)
    assert len(shown) < 100


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ([], None),
        (["prompt"], "prompt"),
        ([0, "a"], "[0].a"),
        (["messages", 12, "content", 0, "text"], "messages[12].content[0].text"),
        (["x" * 1_000], "x" * KEY_CHARS),
    ],
)
def test_a_place_is_written_as_a_path(place: list[str | int], path: str | None) -> None:
    assert json_path(place) == path


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"str": 5}, "str"),
        ({"a": [{"b": 1}, {"b": "x"}]}, "a[1].b"),
        ({"list": [{"list": "x"}]}, "list[0].list"),
    ],
)
def test_the_names_of_a_unions_branches_are_no_part_of_the_place(body: Any, path: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Nested.validate_python(body)
    paths = [json_path(place_of(found, body)) for found in refused.value.errors()]
    assert path in paths
    assert all(path.startswith(each or "") for each in paths)


@pytest.mark.parametrize(
    ("wanted", "value", "told"),
    [
        (int, "x", "it must be a valid integer"),
        (bool, "x", "it must be true or false"),
        (dict[str, int], 5, "it must be a valid object"),
        (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "it must have at most 2 items"),
        (Annotated[str, Field(max_length=2)], "abc", "it must have at most 2 characters"),
        (Annotated[str, Field(pattern="^a$"), explained("it must be {a}")], "b", "it must be {a}"),
    ],
)
def test_what_is_right_ends_the_sentence(wanted: Any, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(wanted).validate_python(value)
    assert right(refused.value.errors()[0]).startswith(told)
