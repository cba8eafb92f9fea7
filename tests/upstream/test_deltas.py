"""Tool calls, function calls and refusals that come in pieces, as providers cut them."""

import time
from copy import deepcopy
from typing import Any

import pytest

from upstream.deltas import Deltas


def call(identity: str, arguments: str, name: str = "f") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": identity, "type": "function", "function": function}


def piece(arguments: str, **more: Any) -> dict[str, Any]:
    return {"function": {"arguments": arguments}, **more}


TWO = [call("c1", '{"a": 1}'), call("c2", "{}", "g")]
CUT: dict[str, tuple[list[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "as OpenAI does": (
        [
            [{"index": 0, **call("c1", "")}],
            [piece('{"a"', index=0)],
            [piece(": 1}", index=0)],
            [{"index": 1, **call("c2", "", "g")}],
            [piece("{}", index=1)],
        ],
        TWO,
    ),
    "mixed": (
        [
            [{"index": 0, **call("c1", '{"a"')}, {"index": 1, **call("c2", "{", "g")}],
            [piece("}", index=1), piece(": 1}", index=0)],
        ],
        TWO,
    ),
    "whole, under one index": ([[{"index": 0, **TWO[0]}], [{"index": 0, **TWO[1]}]], TWO),
    "whole, without an index": ([[TWO[0]], [TWO[1]]], TWO),
    "pieces without an index": ([[call("c1", "")], [piece('{"a": ')], [piece("1}")]], TWO[:1]),
    "the id and the name again": (
        [[{"index": 0, **call("c1", '{"a"')}], [{"index": 0, **call("c1", ": 1}")}]],
        TWO[:1],
    ),
    "another id in every piece": (
        [[{"index": 0, **call("c1", '{"a"')}], [piece(": 1}", index=0, id="c9")]],
        TWO[:1],
    ),
    "two at once under one index": (
        [
            [{"index": 0, **call("c1", "")}],
            [{"index": 0, **call("c2", "", "g")}],
            [piece('{"a"', index=0, id="c1")],
            [piece("{}", index=0, id="c2")],
            [piece(": 1}", index=0, id="c1")],
        ],
        TWO,
    ),
    "nulls after the first": (
        [
            [{"index": 0, **call("c1", "")}],
            [
                {
                    "index": 0,
                    "id": None,
                    "type": None,
                    "function": {"name": None, "arguments": '{"a": 1}'},
                }
            ],
        ],
        TWO[:1],
    ),
    "what a vendor adds": (
        [[{"index": 0, **call("c1", ""), "extra": {"x": 1}}], [piece("{}", index=0)]],
        [{**call("c1", "{}"), "extra": {"x": 1}}],
    ),
}


@pytest.mark.parametrize(("pieces", "calls"), CUT.values(), ids=CUT)
def test_tool_calls_are_those_of_the_whole_answer(
    pieces: list[list[dict[str, Any]]], calls: list[dict[str, Any]]
) -> None:
    deltas = Deltas()
    for each in deepcopy(pieces):
        deltas.add({"tool_calls": each})
    assert deltas.message == {"tool_calls": calls}


@pytest.mark.parametrize(("pieces", "calls"), CUT.values(), ids=CUT)
def test_who_looks_at_the_index_alone_finds_the_same_calls(
    pieces: list[list[dict[str, Any]]], calls: list[dict[str, Any]]
) -> None:
    deltas, told = Deltas(), dict[int, str]()
    for each in deepcopy(pieces):
        deltas.add({"tool_calls": each})
        for part in each:
            told[part["index"]] = told.get(part["index"], "") + part["function"]["arguments"]
    assert told == {place: each["function"]["arguments"] for place, each in enumerate(calls)}


def test_an_index_that_no_other_call_has_stays() -> None:
    pieces = [{"index": 3, **TWO[0]}, {"index": 1, **TWO[1]}, {**TWO[0], "index": "x", "id": "c3"}]
    Deltas().add({"tool_calls": pieces})
    assert [each["index"] for each in pieces] == [3, 1, 4]


@pytest.mark.parametrize("is_same", [False, True])
def test_calls_without_end_take_time_in_proportion(is_same: bool) -> None:
    deltas, began = Deltas(), time.process_time()
    for n in range(20_000):
        deltas.add({"tool_calls": [{"index": 0 if is_same else n, **call(f"c{n}", "")}]})
    assert time.process_time() - began < 5


def test_a_refusal_and_a_function_call_come_in_pieces_too() -> None:
    deltas = Deltas()
    for each in ({"refusal": "I "}, {"refusal": "will not."}, {"content": "text", "refusal": None}):
        deltas.add(each)
    assert deltas.message == {"refusal": "I will not."}
    deltas = Deltas()
    for function in ({"name": "f", "arguments": ""}, {"arguments": '{"a'}, {"arguments": '": 1}'}):
        deltas.add({"function_call": function})
    assert deltas.message == {"function_call": {"name": "f", "arguments": '{"a": 1}'}}


def test_sound_and_pictures_come_in_pieces_too() -> None:
    deltas = Deltas()
    for audio in ({"id": "a", "data": "UklG"}, {"data": "Rg=="}, {"transcript": "hi"}):
        deltas.add({"audio": audio})
    for picture in ("one", "two"):
        deltas.add({"images": [{"url": picture}]})
    assert deltas.message == {
        "audio": {"id": "a", "data": "UklGRg==", "transcript": "hi"},
        "images": [{"url": "one"}, {"url": "two"}],
    }


def test_thoughts_come_in_pieces_too() -> None:
    deltas = Deltas()
    for each in (
        {"reasoning": "I "},
        {"content": "text", "reasoning": None},
        {"reasoning": "see."},
    ):
        deltas.add(each)
    assert deltas.message == {"reasoning": "I see."}


def test_a_text_alone_does_nothing_beside_it() -> None:
    deltas = Deltas()
    deltas.add({"role": "assistant", "content": "hello", "tool_calls": None})
    assert deltas.message == {}
