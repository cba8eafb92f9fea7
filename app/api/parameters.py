"""OpenAI's own parameters, as far as they are checked on their way to the provider."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from app.api.messages import OPEN, Objects, TypeName
from app.mistakes import explained

MAX_TOOLS = 256
MAX_OUTPUT_TOKENS = 1_000_000
MAX_CHOICES = 8
MAX_TEMPERATURE = 2

# What OpenAI's API takes besides the fields that are declared below.
PASSED_THROUGH = frozenset({
    "audio", "function_call", "logit_bias", "metadata", "modalities", "model",
    "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_retention",
    "reasoning_effort", "safety_identifier", "store", "tool_choice", "user", "verbosity",
    "web_search_options",
})  # fmt: skip

OneChoice = Annotated[
    int,
    Field(ge=1, le=1),
    explained("it must be 1 where one answer is shown; /v1/chat/completions shows several"),
]
NoLogprobs = Annotated[
    Literal[False],
    explained("it must be false where only the text is shown; /v1/chat/completions shows them"),
]
Tokens = Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS)]
# What another tier costs, and with which arm to compare it, only an arm of its own tells.
ServiceTier = Annotated[
    Literal["auto", "default"],
    explained(
        "it must be auto or default; another tier is an arm with its own prices, and service_tier "
        "in its extra_body"
    ),
]
Stop = Annotated[str | list[str], explained("it must be a text or a list of texts")]


@with_config(OPEN)
class Tool(TypedDict):
    """A tool that the answer may call; what else it carries passes through."""

    type: TypeName


@with_config(OPEN)
class StreamOptions(TypedDict):
    """What a stream shows; what else it carries passes through."""

    include_usage: NotRequired[bool | None]


class OpenAIParameters(BaseModel):
    """The parameters of OpenAI's API that are checked on their way; null stands for the default."""

    model_config = OPEN

    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    temperature: Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    service_tier: ServiceTier | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0)] | None = None
    stop: Stop | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    functions: Annotated[Objects, Field(max_length=MAX_TOOLS)] | None = None
    response_format: dict[str, Any] | None = None
    stream_options: StreamOptions | None = None
