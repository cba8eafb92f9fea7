"""What a refusal means, in the words of those who refuse."""

import time

import pytest

from policy.errors import (
    ContentFiltered,
    ParameterUnsupported,
    UpstreamBusy,
    UpstreamError,
    UpstreamRejected,
    UpstreamUnauthorised,
)
from upstream.refusals import GONE, meant_by


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("m2 is not a valid model ID", 400),
        ("no", "model_decommissioned"),
        ("no", "model_not_available"),
        ("The model `llama-3.1:70b` has been decommissioned and is no longer supported.", None),
        ("The model gpt-9 does not exist or you do not have access to it.", None),
        ("The model 'x/y' has been deprecated", None),
        ("Model x is no longer available", None),
        ("Model Not Exist", None),
        ("Invalid model: mistral-old", "1500"),
        ("model: claude-1 was retired", None),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_model_that_is_gone_is_known_in_every_providers_words(
    status: int, said: str, code: object
) -> None:
    assert meant_by(status, said, code) == (UpstreamError, GONE)


@pytest.mark.parametrize(
    "said",
    [
        "The parameter n of this model is deprecated",
        "This model, `temperature` is deprecated",
        "`temperature` is deprecated for this model",
        "the file does not exist",
        "the model said: file not found",
        "flagged by nobody",
        "this account was flagged",
    ],
)
def test_what_is_said_of_anything_else_means_no_more_than_its_status(said: str) -> None:
    assert meant_by(400, said, None) == (UpstreamRejected, None)
    assert meant_by(403, said, None) == (UpstreamUnauthorised, None)
    assert meant_by(404, said, None) == (UpstreamError, None)


@pytest.mark.parametrize(
    "said",
    [
        "No endpoints found that support image input",
        "No endpoints found that can handle the requested parameters.",
        "No allowed providers are available for the selected model.",
        "x/y does not support tools",
        "This model does not support image input",
        "stream_options.include_usage: Extra inputs are not permitted",
        "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : "
        "property 'reasoning_content' is unsupported)]",
        "messages[0].role: unknown variant `developer`, expected one of `system`, `user`",
        "Unrecognized request argument supplied: seed",
        'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
        "Model grok-4 does not support parameter reasoningEffort.",
        "This model doesn't support the stopSequences field.",
        "'temperature' is not supported with this model.",
        "Argument not supported on this model: presencePenalty",
        "Thinking mode does not support this tool_choice",
        "invalid temperature: only 1 is allowed for this model",
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, "
        "whereas you provided 32000.",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for x",
    ],
)
@pytest.mark.parametrize("status", [400, 404])
def test_what_cannot_do_what_was_asked_is_known(status: int, said: str) -> None:
    assert meant_by(status, said, None) == (ParameterUnsupported, None)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "API key not valid. Please pass a valid API key."),
        (400, "API key expired. Please renew the API key."),
        (400, "API Key not found. Please pass a valid API key."),
        (400, "Incorrect API key provided: xa***y. You can obtain one from https://console.x.ai."),
        (400, "Your credit balance is too low to access the Anthropic API."),
    ],
)
def test_a_key_or_an_account_that_is_refused_is_known_whatever_the_status(
    status: int, said: str
) -> None:
    assert meant_by(status, said, None) == (UpstreamUnauthorised, None)


def test_more_tokens_than_a_minute_has_are_no_fault_of_the_request() -> None:
    said = "Request too large for model `x` in organization `y` on tokens per minute (TPM): Limit 6"
    assert meant_by(413, said, None) == (UpstreamBusy, None)
    assert meant_by(413, "no", "rate_limit_exceeded") == (UpstreamBusy, None)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('Your chosen model requires moderation and your input was flagged for "x"', 403),
        ("The response was filtered due to Azure's content management policy.", "content_filter"),
        ("Content Exists Risk", "invalid_request_error"),
        (
            "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain "
            "inappropriate content.",
            "data_inspection_failed",
        ),
        ("Your request was rejected by our safety system", None),
        ("no", "content_policy_violation"),
    ],
)
@pytest.mark.parametrize("status", [400, 403])
def test_what_a_filter_holds_back_is_known(status: int, said: str, code: object) -> None:
    assert meant_by(status, said, code) == (ContentFiltered, None)


@pytest.mark.parametrize("status", [401, 402, 429, 500, 503])
def test_words_change_nothing_where_the_request_cannot_be_at_fault(status: int) -> None:
    assert meant_by(status, "x is not a valid model", GONE) == meant_by(status, "no", None)


@pytest.mark.parametrize(
    "said",
    [
        "model:",
        "model `",
        "input a ",
        "support a ",
        "model" + "a" * 9,
        "unknown name a",
        "request too large for model tokens per ",
    ],
)
def test_words_without_end_take_time_in_proportion(said: str) -> None:
    began = time.process_time()
    meant_by(400, said * 200_000, None)
    assert time.process_time() - began < 5
