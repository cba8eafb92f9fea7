"""What makes two requests the same, and which ones never are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answers.request_key import FRESH, RequestKey, is_repeatable
from app.routing.ask import Ask

HELLO = {"role": "user", "content": "hello"}


def key(**more: Any) -> RequestKey:
    return RequestKey.of(Ask(**{"messages": [HELLO], **more}), "t")


SAME: dict[str, dict[str, Any]] = {
    "streamed": {"stream": True},
    "not explored": {"explore": False},
    "another session": {"session": "s"},
    "usage in the stream": {"parameters": {"stream_options": {"include_usage": True}}},
}


@pytest.mark.parametrize("more", SAME.values(), ids=SAME.keys())
def test_how_it_is_sent_makes_no_difference(more: dict[str, Any]) -> None:
    assert key(**more) == key()


def test_the_order_of_the_models_and_of_the_parameters_makes_no_difference() -> None:
    one = {"temperature": 0, "seed": 1}
    assert key(models=("a", "b"), parameters=one) == key(
        models=("b", "a", "a"), parameters=dict(reversed(one.items()))
    )


PARAMETERS: list[dict[str, Any]] = [
    {"temperature": 0}, {"temperature": 1}, {"seed": 1}, {"max_tokens": 9}, {"stop": ["x"]},
    {"response_format": {"type": "json_object"}}, {"user": "ann"}, {"top_k": 4},
]  # fmt: skip


def test_every_parameter_makes_another_request() -> None:
    keys = {key(parameters=each).key for each in PARAMETERS} | {key().key}
    kins = {key(parameters=each).kin for each in PARAMETERS} | {key().kin}
    assert len(keys) == len(kins) == len(PARAMETERS) + 1


WISHES: list[dict[str, Any]] = [
    {"task": "maths"}, {"models": ("a",)}, {"fallbacks": ("b",)}, {"willingness_to_pay_usd": 0.1},
    {"pay_factor": 2.0}, {"max_cost_usd": 0.01},
]  # fmt: skip


def test_every_wish_and_every_tenant_makes_another_request() -> None:
    made = [key(), *(key(**each) for each in WISHES), RequestKey.of(Ask(messages=[HELLO]), "u")]
    assert len({each.key for each in made}) == len({each.kin for each in made}) == len(made)


def test_only_the_wording_of_the_last_question_is_kept_apart() -> None:
    other = key(messages=[{"role": "user", "content": "hi"}])
    assert other.kin == key().kin
    assert (other.key == key().key, other.question) == (False, "hi")
    earlier = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    assert key(messages=[*earlier, HELLO]).kin != key().kin
    assert key(messages=[{"role": "system", "content": "Be brief."}, HELLO]).kin != key().kin


def test_a_picture_must_be_the_same_and_its_question_may_be_similar() -> None:
    def shown(url: str, text: str) -> RequestKey:
        image = {"type": "image_url", "image_url": {"url": url}}
        return key(messages=[{"role": "user", "content": [image, {"type": "text", "text": text}]}])

    assert shown("data:,a", "what is it").kin == shown("data:,a", "what's that").kin
    assert shown("data:,a", "what is it").kin != shown("data:,b", "what is it").kin


def test_where_the_last_word_is_not_the_users_there_is_no_question() -> None:
    assert key(messages=[HELLO, {"role": "assistant", "content": "Once"}]).question == ""


@given(st.text(), st.text())
def test_different_texts_are_different_requests(one: str, two: str) -> None:
    keys = {key(messages=[{"role": "user", "content": each}]).key for each in (one, two)}
    assert len(keys) == len({one, two})


@pytest.mark.parametrize("name", sorted(FRESH))
def test_what_asks_for_more_than_a_text_is_never_given_again(name: str) -> None:
    assert not is_repeatable(Ask(messages=[HELLO], parameters={name: {}}))


NEVER: dict[str, dict[str, Any]] = {
    "several answers": {"parameters": {"n": 2}},
    "tools": {"parameters": {"tools": [{}]}},
    "log probabilities": {"parameters": {"logprobs": True}},
    "a search of the web": {"parameters": {"web_search_options": {}}},
    "a tool's result": {"messages": [HELLO, {"role": "tool", "content": "7"}]},
}


@pytest.mark.parametrize("more", NEVER.values(), ids=NEVER.keys())
def test_what_is_not_one_text_is_never_given_again(more: dict[str, Any]) -> None:
    assert not is_repeatable(Ask(**{"messages": [HELLO], **more}))
    assert is_repeatable(Ask(messages=[HELLO], parameters={"n": 1}))
