"""What one model has said another may reject: a conversation goes back to the arm that has it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.faulty import Faulty, busy, faulty, good, refusing
from tests.upstream.misbehaving import Conversation, Scenario, completion

V1 = "/v1/chat/completions"
HI = {"role": "user", "content": "hi"}
ON = {"role": "user", "content": "go on"}
BODY = {"explore": False, "cache": "off", "willingness_to_pay": 1e-6}
CHEAP = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.02}
DEAR = {"input_usd_per_mtok": 100.0, "output_usd_per_mtok": 200.0}
STRICT_IS_CHEAP = {"strict": CHEAP, "other": DEAR, "thinker": DEAR}


def thinking(talk: Conversation) -> None:
    message = {"role": "assistant", "content": "hello", "reasoning_content": "hm"}
    talk.reply(completion(message))


def strict(talk: Conversation) -> None:
    """Take no message that another model has made, in words that nobody knows."""
    if any(each["role"] == "assistant" for each in talk.body["messages"]):
        talk.reply(
            json.dumps({"error": {"message": "no thoughts of yours here"}}).encode(),
            "400 Bad Request",
        )
    else:
        good(talk)


def asked(made: Faulty, *messages: Any, model: str = "auto", **more: Any) -> Any:
    return made.service.post(V1, {"model": model, "messages": messages, **BODY, **more})


def answer(made: Faulty, **more: Any) -> Any:
    """Return the message with which the thinker begins a conversation."""
    told = asked(made, HI, model="thinker", **more)
    return told.json["choices"][0]["message"]


@pytest.mark.parametrize("turns", [1, 4])
def test_a_conversation_that_another_arm_rejects_goes_back_to_who_has_it(
    tmp_path: Path, turns: int
) -> None:
    scenarios = {"strict": strict, "other": good, "thinker": thinking}
    with faulty(tmp_path, scenarios, STRICT_IS_CHEAP) as made:
        messages = [HI, answer(made), ON]
        for _ in range(turns):
            told = asked(made, *messages)
            assert (told.status_code, told.headers["x-turnpike-arm"]) == (200, "thinker")
            messages += [told.json["choices"][0]["message"], ON]
        assert made.asked == ["thinker", *["strict", "thinker"] * turns]
        assert asked(made, HI).headers["x-turnpike-arm"] == "strict"


def test_what_the_arm_that_has_it_says_is_told_and_not_what_another_does(tmp_path: Path) -> None:
    def once(talk: Conversation) -> None:
        (busy if len(talk.body["messages"]) > 1 else thinking)(talk)

    with faulty(tmp_path, {"strict": strict, "thinker": once}, STRICT_IS_CHEAP) as made:
        messages = [HI, answer(made), ON]
        told = asked(made, *messages)
        assert (told.status_code, told.json["error"]["code"]) == (429, "rate_limited")
        assert made.asked == ["thinker", "strict", "thinker"]
        # It is told to wait now, so only the other one is left to ask.
        assert asked(made, *messages).status_code == 400


def test_a_tools_result_that_its_arm_cannot_take_now_is_no_fault_of_the_request(
    tmp_path: Path,
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    calling = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c", "content": "42"}

    def once(talk: Conversation) -> None:
        if len(talk.body["messages"]) > 1:
            busy(talk)
        else:
            talk.reply(completion(calling, finish="tool_calls"))

    with faulty(tmp_path, {"strict": strict, "thinker": once}, STRICT_IS_CHEAP) as made:
        assert answer(made)["tool_calls"] == [call]
        told = asked(made, HI, calling, result)
        assert made.asked == ["thinker", "thinker", "strict"]
        assert (told.status_code, told.json["error"]["code"]) == (429, "rate_limited")


@pytest.mark.parametrize("second", [refusing, strict], ids=["wrong", "foreign"])
def test_a_conversation_that_nobody_knows_is_tried_with_one_other_arm(
    tmp_path: Path, second: Scenario
) -> None:
    arms = {"strict": CHEAP, "other": {**CHEAP, "output_usd_per_mtok": 0.3}, "thinker": DEAR}
    elsewhere = {"role": "assistant", "content": "hello", "reasoning_content": "hm"}
    with faulty(tmp_path, {"strict": strict, "other": second, "thinker": good}, arms) as made:
        told = asked(made, HI, elsewhere, ON)
        assert (told.status_code, sorted(made.asked)) == (400, ["other", "strict"])


def test_what_a_filter_holds_back_is_asked_of_nobody_else(tmp_path: Path) -> None:
    error = {"error": {"message": "filtered", "param": "prompt", "code": "content_filter"}}

    def filtering(talk: Conversation) -> None:
        talk.reply(json.dumps(error).encode(), "400 Bad Request")

    with faulty(tmp_path, {"strict": filtering, "thinker": thinking}, STRICT_IS_CHEAP) as made:
        told = asked(made, HI, answer(made), ON)
        assert (told.status_code, made.asked) == (400, ["thinker", "strict"])
        assert told.json["error"]["code"] == "content_filter"


def test_who_pins_an_arm_is_told_what_it_says(tmp_path: Path) -> None:
    with faulty(tmp_path, {"strict": strict, "thinker": thinking}, STRICT_IS_CHEAP) as made:
        told = asked(made, HI, answer(made), ON, model="strict")
        assert (told.status_code, made.asked) == (400, ["thinker", "strict"])


def test_who_pins_an_arm_that_rejects_whatever_comes_hears_a_fallback(tmp_path: Path) -> None:
    with faulty(tmp_path, {"strict": refusing, "thinker": good}, STRICT_IS_CHEAP) as made:
        told = [
            asked(made, HI, {"role": "assistant", "content": "hello"}, ON, **wishes).status_code
            for wishes in 3 * [{"model": "strict", "fallbacks": ["thinker"]}]
        ]
        assert (told, made.asked) == ([400, 400, 200], ["strict"] * 3 + ["thinker"])
