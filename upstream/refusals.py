"""What a provider means when it refuses: the status says what kind of error it is, its words more.

Some words say more than their status: that the model is gone, that it cannot do something that was
asked, that a filter has held the request back.
"""

import re
from collections.abc import Mapping

from policy.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ParameterUnsupported,
    UpstreamBusy,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorised,
)

UNAUTHORISED, FORBIDDEN, NOT_FOUND, TOO_LARGE = 401, 403, 404, 413
STATUS_ERRORS: Mapping[int, type[UpstreamError]] = {
    400: UpstreamRejected,
    UNAUTHORISED: UpstreamUnauthorised,
    FORBIDDEN: UpstreamUnauthorised,
    408: UpstreamTimeout,
    TOO_LARGE: UpstreamRejected,
    422: UpstreamRejected,
    429: UpstreamBusy,
}
GONE = "model_not_found"
"""The code of an error whose words say more than its status."""

_ABOUT_THE_REQUEST = frozenset({400, FORBIDDEN, NOT_FOUND, TOO_LARGE, 422})
# Groq's 413: so many tokens are more than our quota of a minute, whatever the window.
_TOO_FAST = re.compile(r"(?i)^request too large for model\b.*\btokens per min")
# Gemini and xAI say of a key, and Anthropic of an account without money, that it is a 400.
_NOT_OURS = re.compile(
    r"(?i)api[ _-]?key (?:is )?(?:not valid|not found|invalid|expired)|credit balance is too low"
    r"|(?:incorrect|invalid) api[ _-]?key"
)
_TOO_LONG = re.compile(
    r"(?i)context[ _-]?(?:length|window|size|limit)|(?:prompt|input) is too long|reduce the length"
    r"|too many (?:input )?tokens|maximum (?:prompt|input|model) length"
    r"|input token count|model token limit|range of input length|prompt exceeds max"
    r"|`inputs` (?:tokens \+|must have less)"
)
# OpenRouter's words where nobody behind it takes all of a request; what others say of a model; of a
# field: Mistral, Groq, DeepSeek, Azure, Gemini, xAI; of a value: OpenAI, DeepSeek, Claude, Kimi.
_UNSUPPORTED = re.compile(
    r"(?i)no endpoints found (?:that|matching)|no allowed providers are available"
    r"|(?:does not|doesn't|do not) support (?:\w+ ){0,2}"
    r"(?:images?|vision|audio|tools?|tool_choice|function|parameters?|field)\b"
    r"|not supported (?:with|by|for|on) this model|extra inputs are not permitted"
    r"|(?:only \S{1,20} is allowed|both be specified) for this model"
    r"|property '[^']{1,64}' is unsupported|unknown variant|unrecognized request argument"
    r"|unknown name \W{0,2}\w{1,64}\W{0,2} ?(?:at|: cannot find field)"
    r"|supports at most \d+ completion tokens|range of max_tokens|allowed number of output tokens"
)
_UNSUPPORTED_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
_FILTER = re.compile(
    r"(?i)requires moderation|content[ _-](?:filter|management|policy)|safety system"
    r"|(?:input|prompt|content|messages?|request|text|image) (?:\w+ ){0,2}flagged"
    r"|content exists risk|inappropriate content"
)
# The model is what a sentence begins with: that a parameter of it is deprecated is another matter.
_GONE = re.compile(
    r"(?i)not a valid model|model not exists?\b|invalid model(?: name| id|:)"
    r"|(?:^|[.:;(] ?)(?:(?:the|this|your|requested|selected) ){0,2}model[\s`'\":]{1,3}"
    r"(?:[\w./:@-]{1,99}[\s`'\"]{1,3})?"
    r"(?:does not exist|not found|(?:has been|is|was) (?:decommissioned|deprecated|retired)"
    r"|is no longer (?:available|supported))"
)
_MEANINGS: tuple[tuple[type[UpstreamError], str | None, tuple[str, ...], re.Pattern[str]], ...] = (
    (UpstreamBusy, None, ("rate_limit_exceeded",), _TOO_FAST),
    (UpstreamUnauthorised, None, ("invalid_api_key",), _NOT_OURS),
    (ContextLengthExceeded, None, ("context_length_exceeded",), _TOO_LONG),
    (ParameterUnsupported, None, _UNSUPPORTED_CODES, _UNSUPPORTED),
    (ContentFiltered, None, (ContentFiltered.code, "content_policy_violation"), _FILTER),
    (UpstreamError, GONE, (GONE, "model_decommissioned", "model_not_available"), _GONE),
)


def meant_by(status: int, said: str, code: object) -> tuple[type[UpstreamError], str | None]:
    """Return which error a refusal is, and its code where that is not the error's own.

    >>> meant_by(400, "m2 is not a valid model ID", 400)
    (<class 'policy.errors.UpstreamError'>, 'model_not_found')
    >>> meant_by(403, "Your chosen model requires moderation", 403)
    (<class 'policy.errors.ContentFiltered'>, None)
    """
    found = (
        (kind, meant)
        for kind, meant, codes, words in _MEANINGS
        if status in _ABOUT_THE_REQUEST and (code in codes or words.search(said))
    )
    return next(found, (STATUS_ERRORS.get(status, UpstreamError), None))
