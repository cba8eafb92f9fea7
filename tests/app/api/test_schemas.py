"""What callers may write: limits held, ours apart from the provider's, every mistake told whole."""

import time
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from app.api.body import parsed
from app.api.chat import ChatRequest
from app.api.schemas import AskRequest, CompleteRequest, FeedbackRequest, checked
from policy.errors import InvalidInput
from tests.app.bad_inputs import ARM_NAMES, FIELDS, TOO_MANY, TOOL, VALUES, Bad

USER = {"role": "user", "content": "hi"}
# What vLLM, OpenRouter and other providers take besides OpenAI's own parameters.
THEIRS = """
    add_generation_prompt add_special_tokens allowed_token_ids bad_words best_of cache_control
    cache_prompt cache_salt cached_content chat_template chat_template_kwargs citations
    continue_final_message debug disable_search do_sample documents dry_base dry_multiplier
    early_stopping echo enable_search enable_thinking extra_body format grammar guided_choice
    guided_decoding_backend guided_grammar guided_json guided_regex ignore_eos image_config images
    include_reasoning include_stop_str_in_output input instructions json_schema keep_alive
    kv_transfer_params length_penalty max_output_tokens min_p min_tokens mirostat
    mm_processor_kwargs n_predict n_probs num_ctx num_predict options plugins
    previous_response_id priority prompt_logprobs prompt_mode prompt_truncate_len provider
    random_seed raw reasoning reasoning_format reasoning_split repetition_penalty request_id
    return_images return_related_questions return_token_ids route safe_prompt safety_settings
    samplers search_mode search_parameters skip_special_tokens spaces_between_special_tokens speed
    stop_sequences stop_token_ids structural_tag structured_outputs suffix system template tfs_z
    thinking thinking_budget timeout tokens tool_stream top_a top_k trace transforms
    truncate_prompt_tokens typical_p usage use_beam_search user vllm_xargs web_search
    xtc_probability xtc_threshold
"""
CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
# The arms are known to the router only; bodies that are no JSON are the business of test_body.
CHECKED_HERE = [
    bad
    for bad in [*FIELDS, *TOO_MANY, *ARM_NAMES, *VALUES]
    if bad.code in {"invalid_value", "missing_field"}
]


def asked(**body: Any) -> CompleteRequest:
    return checked(CompleteRequest, {"prompt": "hi"} | body)


def said(*messages: dict[str, Any]) -> CompleteRequest:
    return checked(CompleteRequest, {"messages": list(messages)})


def refusal(**body: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        asked(**body)
    return refused.value


@pytest.mark.parametrize("bad", CHECKED_HERE, ids=lambda bad: bad.name)
def test_a_bad_field_is_refused_with_its_code_and_its_place(bad: Bad) -> None:
    model = CompleteRequest if bad.path == "/complete" else FeedbackRequest
    body = parsed(bad.raw, "{}")
    began_s = time.process_time()
    with pytest.raises(InvalidInput) as refused:
        checked(model, body)
    assert time.process_time() - began_s < 2
    error = refused.value
    assert error.code == bad.code
    assert bad.param in {None, error.param}
    assert bad.says in error.message
    assert error.message.isprintable()
    assert len(error.message) < 300


def test_a_prompt_is_one_message_of_the_user() -> None:
    ask = asked().ask()
    assert ask.messages == [USER]
    assert (ask.task, ask.models, ask.explore, ask.stream, ask.cache) == (
        None, None, True, False, None,
    )  # fmt: skip
    assert ask.parameters == {}


def test_what_is_ours_stays_here_and_the_rest_is_passed_through_as_it_came() -> None:
    theirs = {"temperature": 1, "max_tokens": 7, "stop": ["x"], "top_k": 3, "thinking": {"b": [1]}}
    ours = {
        "task": "support/refunds", "models": ["a", "b"], "willingness_to_pay": 0.5,
        "max_cost_usd": 1, "explore": False, "stream": True, "cache": "off", "session": "s-1",
    }  # fmt: skip
    ask = asked(**theirs, **ours).ask()
    assert ask.parameters == theirs
    assert (ask.task, ask.models, ask.session) == ("support/refunds", ("a", "b"), "s-1")
    assert (ask.willingness_to_pay_usd, ask.max_cost_usd) == (0.5, 1)
    assert (ask.explore, ask.stream, ask.cache) == (False, True, "off")


def test_a_parameter_that_is_null_is_left_to_the_provider() -> None:
    assert asked(temperature=None, tools=None, stop=None, top_k=None).ask().parameters == {}


@pytest.mark.parametrize("name", sorted(AskRequest.model_fields))
def test_a_wish_that_is_null_is_as_good_as_left_out(name: str) -> None:
    assert asked(**{name: None}).ask() == asked().ask()


@pytest.mark.parametrize("name", sorted(FeedbackRequest.model_fields.keys() - {"id"}))
def test_a_field_of_a_thumb_that_is_null_is_as_good_as_left_out(name: str) -> None:
    plain = {"id": "tp-1", **({"reward": 1} if name == "thumbs" else {"thumbs": "up"})}
    null = checked(FeedbackRequest, {**plain, name: None})
    assert null.vote == checked(FeedbackRequest, plain).vote
    assert null.browsers_vote.rater == "browser"


def test_messages_are_passed_through_as_they_came() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}
    conversation = [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {"role": "user", "content": [{"type": "text", "text": "?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
    ]
    ask = said(*conversation).ask()
    assert ask.messages == conversation
    assert ask.in_tool_loop
    assert ask.needs == {"vision"}


@pytest.mark.parametrize(
    "said_so",
    [
        {"audio": {"id": "audio_1"}},
        {"content": None, "refusal": "no"},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"content": None, "reasoning_content": "hm"},
        {"content": None, "images": [{"image_url": {"url": "data:,"}}]},
        {"content": None},
    ],
    ids=lambda message: [*message][-1],
)
def test_an_answer_without_content_is_sent_back_as_it_came(said_so: dict[str, Any]) -> None:
    conversation = [USER, {"role": "assistant", **said_so}, USER]
    assert said(*conversation).ask().messages == conversation


@pytest.mark.parametrize(
    ("messages", "code", "param"),
    [
        (["hi"], "invalid_value", "messages[0]"),
        ([{"role": "user"}], "missing_field", "messages[0]"),
        ([USER, {"role": "tool", "content": None}], "missing_field", "messages[1]"),
        ([{"role": "user", "content": 7}], "invalid_value", "messages[0].content"),
        ([{"role": "user", "content": {}}], "invalid_value", "messages[0].content"),
        ([{"role": "user", "content": []}], "invalid_value", "messages[0].content"),
        ([{"role": "user", "content": ["a"]}], "invalid_value", "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], "missing_field",
         "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "invalid_value",
         "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"text": "a"}]}], "missing_field",
         "messages[0].content[0].type"),
        ([{"role": "assistant", "tool_calls": "f"}], "invalid_value", "messages[0].tool_calls"),
    ],
)  # fmt: skip
def test_a_message_that_says_nothing_is_refused(messages: Any, code: str, param: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        said(*messages)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("most", "body"),
    [
        (10_000, lambda n: {"prompt": None, "messages": [USER] * n}),
        (256, lambda n: {"prompt": None, "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}] * n}]}),
        (256, lambda n: {"tools": [TOOL] * n}),
        (256, lambda n: {"models": ["a"] * n}),
        (1, lambda n: {"n": n}),
        (1_000_000, lambda n: {"max_tokens": n}),
        (1_000_000, lambda n: {"max_completion_tokens": n}),
        (64, lambda n: {"task": "x" * n}),
        (128, lambda n: {"session": "x" * n}),
        (99, lambda n: {f"x{i}": 1 for i in range(n)}),
    ],
)  # fmt: skip
def test_the_limit_is_exact(most: int, body: Any) -> None:
    asked(**body(most))
    assert refusal(**body(most + 1)).code == "invalid_value"


def test_log_probabilities_are_refused_where_they_are_not_shown() -> None:
    assert asked(logprobs=False).ask().parameters == {"logprobs": False}
    refused = refusal(logprobs=True)
    assert (refused.code, refused.param) == ("invalid_value", "logprobs")
    assert "/v1/chat/completions shows them" in refused.message


@pytest.mark.parametrize("tier", ["auto", "default", None])
def test_a_tier_at_the_prices_of_the_arm_passes(tier: str | None) -> None:
    assert asked(service_tier=tier).service_tier == tier


@pytest.mark.parametrize("tier", ["priority", "flex", "", 1])
def test_a_tier_at_prices_that_nobody_told_is_refused(tier: Any) -> None:
    refused = refusal(service_tier=tier)
    assert (refused.code, refused.param) == ("invalid_value", "service_tier")
    assert "it must be auto or default; another tier is an arm" in refused.message


@pytest.mark.parametrize("task", ["support", "a/b/c/d", "Level 1/top_2.x-y", "0"])
def test_a_task_has_up_to_four_levels(task: str) -> None:
    assert asked(task=task).ask().task == task


@pytest.mark.parametrize("task", ["", "/a", "a/", "a//b", "a/b/c/d/e", "é", "a\n", "a\0", "a;b"])
def test_another_task_is_refused_with_what_a_task_is(task: str) -> None:
    error = refusal(task=task)
    assert error.param == "task"
    assert "up to 4 levels" in error.message


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("wilingness_to_pay", "willingness_to_pay"),
        ("willingness_to_pay_usd", "willingness_to_pay"),
        ("message", "messages"),
        ("tasks", "task"),
        ("taks", "task"),
        ("tsak", "task"),
        ("Atsk", "task"),
        ("max_costs_usd", "max_cost_usd"),
        ("explor", "explore"),
        ("streams", "stream"),
        ("Task", "task"),
        ("MAX_COST_USD", "max_cost_usd"),
        ("maxCostUsd", "max_cost_usd"),
    ],
)
def test_a_misspelt_field_of_ours_is_told_its_name(written: str, meant: str) -> None:
    error = refusal(**{written: 1})
    assert error.param == written
    assert f"did you mean {meant!r}?" in error.message


def test_a_parameter_of_a_provider_is_never_taken_for_a_misspelling() -> None:
    openais = CompletionCreateParamsBase.__annotations__
    theirs = {*openais, *THEIRS.split()} - AskRequest.model_fields.keys() - {"messages"}
    for name in theirs:
        assert asked(**{name: 1}).ask().parameters == {name: 1}
    chat = {"model": "auto", "messages": [USER]}
    for name in theirs - chat.keys():
        assert checked(ChatRequest, chat | {name: 1}).model_extra == {name: 1}


def test_a_hundred_thousand_fields_are_refused_at_once() -> None:
    body = {f"prompt{i}": 1 for i in range(100_000)}
    began_s = time.process_time()
    assert "must have at most 100" in refusal(**body).message
    assert time.process_time() - began_s < 2


@pytest.mark.parametrize(
    ("verdict", "value"),
    [
        ({"thumbs": "up"}, 1.0),
        ({"thumbs": "down"}, 0.0),
        ({"thumbs": "neutral"}, None),
        ({"reward": 0}, 0.0),
        ({"reward": 0.25}, 0.25),
        ({"reward": 1, "thumbs": None}, 1.0),
    ],
)
def test_a_verdict_is_a_reward(verdict: dict[str, Any], value: float | None) -> None:
    given = checked(FeedbackRequest, {"id": "tp-1", **verdict})
    assert given.vote.reward == value
    assert (given.rater, given.comment) == ("anonymous", None)


def test_a_comment_may_be_any_text() -> None:
    comment = "<b>\0\n</b>" + "x" * 3_990
    given = checked(FeedbackRequest, {"id": "tp-1", "thumbs": "up", "comment": comment})
    assert given.comment == comment
