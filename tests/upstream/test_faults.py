"""What a provider says about its own faults, in our words."""

import time

import pytest

from policy.errors import ContextLengthExceeded, UpstreamInvalid, UpstreamRejected
from upstream.faults import READ_CHARS, Faults
from upstream.redact import MAX_CHARS

KEY = "hunter2-hunter2"


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 8192 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Input is too long for requested model.",
        "The input token count exceeds the context window",
        "Please reduce the length of the messages.",
        "Too many tokens in the request",
        "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        "The decoder prompt (length 10127) is longer than the maximum model length of 8192.",
        "Invalid request: Your request exceeded model token limit: 131072",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]",
        "Prompt exceeds max length",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 6204 "
        "`inputs` tokens and 2047 `max_new_tokens`",
        "Input validation error: `inputs` must have less than 4096 tokens. Given: 4545",
    ],
)
def test_a_prompt_that_is_too_long_is_known_in_every_providers_words(said: str) -> None:
    error = Faults("a").refused(400, {"error": {"message": said}})
    assert type(error) is ContextLengthExceeded


@pytest.mark.parametrize(
    "body",
    [
        "max_tokens is too large",
        "Invalid 'tools': array too long. Expected an array with maximum length 128",
        "context", None, [], [[]], {"error": None}, {"error": {"message": [1]}},
    ],
)  # fmt: skip
def test_another_refusal_is_not_taken_for_a_long_prompt(body) -> None:
    assert type(Faults("a").refused(400, body)) is UpstreamRejected


@pytest.mark.parametrize("param", ["max_tokens", "messages[0].content", "tools.0.type", "_x-y"])
def test_the_field_that_a_refusal_blames_is_told(param: str) -> None:
    body = {"error": {"message": "no", "param": param}}
    assert Faults("a").refused(400, body).param == param
    assert Faults("a").refused(500, body).param is None


@pytest.mark.parametrize(
    "param",
    [None, 7, ["n"], "", "x" * 65, "two words", "<b>", "température", KEY, "my_name_is_ann", "n\n"],
)
def test_what_is_no_field_is_not_told_as_one(param: object) -> None:
    asked = {"messages": [{"role": "user", "content": "Say my_name_is_ann aloud"}]}
    error = Faults("a", (KEY,), asked).refused(400, {"message": "no", "param": param})
    assert error.param is None


X = {"loc": ["body", "x"], "msg": "field required", "type": "missing"}
DEEP = {"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user'"}


@pytest.mark.parametrize(
    ("body", "said", "param"),
    [
        ({"detail": [X]}, "x: field required", "x"),
        ({"detail": [DEEP, X]}, "messages[0].role: Input should be 'user'; x: field required",
         "messages[0].role"),
        ({"object": "error", "message": {"detail": [X]}, "type": "invalid"}, "x: field required",
         "x"),
        ({"detail": [{"loc": ["body"], "msg": "not JSON"}]}, "the body: not JSON", None),
        ({"detail": [{"loc": ["body", "x" * 65], "msg": KEY}]}, f"{'x' * 65}: [redacted]", None),
        ({"detail": [{"loc": 5, "msg": ["odd"]}, 5, {}]}, "the body: ['odd']", None),
        ({"detail": "Not so"}, "Not so", None),
        ({"detail": [], "type": "odd"}, "odd", None),
        ({"detail": {"a": 1}}, "no message", None),
    ],
)  # fmt: skip
def test_fields_that_are_listed_as_wrong_are_told_with_the_reason(body, said, param) -> None:
    error = Faults("a", (KEY,)).refused(422, body)
    assert type(error) is UpstreamRejected
    assert error.message == f"a: the provider answered 422: {said}"
    assert error.param == param


def test_an_error_in_a_list_is_read_as_gemini_sends_it() -> None:
    body = [{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}]
    assert Faults("a").refused(429, body).message == "a: the provider answered 429: quota"


def test_what_is_listed_as_wrong_quotes_no_prompt() -> None:
    asked = {"messages": [{"role": "user", "content": "my name is Ann Smith"}]}
    detail = [{"loc": ["body", "x"], "msg": "my name is Ann Smith is no number"}]
    error = Faults("a", (), asked).refused(422, {"detail": detail})
    assert "Ann" not in error.message


@pytest.mark.parametrize(
    "data", [{}, {"error": None}, {"error": {}}, {"object": "chat.completion"}]
)
def test_an_answer_without_an_error_passes(data) -> None:
    Faults("a").check(data)


@pytest.mark.parametrize(
    "data",
    [
        {"error": "boom"},
        {"type": "error", "message": "boom"},
        {"object": "error", "message": "boom"},
        {"choices": [{"error": {"message": "boom"}}]},
    ],
)
def test_an_error_in_any_shape_is_seen(data) -> None:
    with pytest.raises(UpstreamInvalid, match="boom"):
        Faults("a").check(data)


def test_of_a_message_only_what_the_provider_said_is_redacted() -> None:
    asked = {"messages": [{"role": "user", "content": "what is a blank answer or finish_reason?"}]}
    faults = Faults("a", (), asked)
    told = faults.invalid("sent a blank answer with finish_reason ", "a blank answer")
    assert told.message == "a: the provider sent a blank answer with finish_reason a [prompt]"
    assert len(faults.invalid("sent ", "x" * 999).message) == MAX_CHARS


@pytest.mark.parametrize("words", ["bearer  ", "1-", "?key ", f"{KEY} "])
def test_of_an_error_without_end_the_beginning_is_read(words: str) -> None:
    def seconds(chars: int) -> float:
        said, began_s = words * (chars // len(words)), time.process_time()
        error = Faults("a", [KEY]).refused(400, {"error": {"message": said}})
        assert KEY[:8] not in error.message
        return time.process_time() - began_s

    assert seconds(4 * 1024**2) < 10 * min(seconds(READ_CHARS) for _ in range(3)) + 0.05


def test_a_secret_at_the_end_of_what_is_read_is_not_cut() -> None:
    said = f"bearer {'x' * (READ_CHARS - 20)} {KEY} is wrong"
    for body in (said, {"error": said}, {"error": {"message": said}}):
        error = Faults("a", [KEY]).refused(400, body)
        assert error.message == "a: the provider answered 400: [redacted]"
