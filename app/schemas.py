"""What comes in over HTTP: checked here, or an error that names the field.

Fields that are not ours are OpenAI's and pass through to the provider as they are; one that looks
like a misspelling of ours is refused, because a wish that is ignored is worse than an error.
"""

from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.ask import Ask, CacheWish
from policy.errors import InvalidInput

MAX_MESSAGES = 1_000
MAX_PARTS = 256
MAX_TOOLS = 256
MAX_OUTPUT_TOKENS = 1_000_000
MAX_CHOICES = 8
SEEN_CHARS = 60
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
CLOSE = 0.85

Task = Annotated[str, Field(max_length=64, pattern=r"^[\w .-]+(/[\w .-]+){0,3}$")]
Dollars = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS)]

OPENAI_PARAMETERS = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A request body: nothing is converted, so `false` is never 0 and "1" never 1."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class Message(BaseModel):
    """One message in OpenAI's form; what else it carries passes through."""

    model_config = ConfigDict(strict=True, extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[dict[str, Any]], Field(max_length=MAX_PARTS)] | None = None


class CompleteRequest(BaseModel):
    """A prompt or messages, wishes about the routing, and any parameter of OpenAI's API."""

    model_config = ConfigDict(strict=True, extra="allow")

    prompt: Annotated[str, Field(min_length=1)] | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    task: Task | None = None
    models: Annotated[list[str], Field(min_length=1, max_length=256)] | None = None
    willingness_to_pay: Dollars | None = Field(
        None, description="Dollars that one more thumbs-up is worth."
    )
    max_cost_usd: Dollars | None = None
    explore: bool = True
    stream: bool = False
    cache: CacheWish = "use"
    session: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS)] | None = None

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("exactly one of prompt and messages must be given")
        return self

    def ask(self) -> Ask:
        """Return the request as the router takes it."""
        ours = {"prompt", "messages", *OURS}
        given = self.model_dump(exclude_unset=True, exclude=ours)
        return Ask(
            messages=_messages(self),
            task=self.task,
            models=None if self.models is None else tuple(self.models),
            willingness_to_pay_usd=self.willingness_to_pay,
            max_cost_usd=self.max_cost_usd,
            explore=self.explore,
            stream=self.stream,
            cache=self.cache,
            session=self.session,
            parameters=_clean({name: value for name, value in given.items() if value is not None}),
        )


OURS = (
    "task", "models", "willingness_to_pay", "max_cost_usd", "explore", "stream", "cache", "session"
)  # fmt: skip


class FeedbackRequest(Strict):
    """A thumb or a reward for one decision; `neutral` withdraws what the rater had given."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    thumbs: Literal["up", "down", "neutral"] | None = None
    reward: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    rater: Annotated[str, Field(min_length=1, max_length=64)] = "anonymous"
    comment: Annotated[str, Field(max_length=4_000)] | None = None

    @model_validator(mode="after")
    def _one_verdict(self) -> Self:
        if (self.thumbs is None) == (self.reward is None):
            raise ValueError("exactly one of thumbs and reward must be given")
        return self

    @property
    def value(self) -> float | None:
        """Return the reward, None to withdraw."""
        if self.thumbs is None:
            return self.reward
        return {"up": 1.0, "down": 0.0, "neutral": None}[self.thumbs]


def checked(model: type[M], body: dict[str, Any]) -> M:
    """Return the body as a model.

    raises : InvalidInput naming the first field that is wrong, the value seen and what is right

    >>> checked(FeedbackRequest, {"id": "tp-1", "thumbs": "up"}).value
    1.0
    """
    _refuse_misspellings(model, body)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _told(error, body) from error


def _told(error: ValidationError, body: dict[str, Any]) -> InvalidInput:
    first = error.errors(include_url=False, include_context=False)[0]
    place = [part for part in first["loc"] if not _is_type_name(part)]
    param = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    code = "missing_field" if first["type"] == "missing" or not param else "invalid_value"
    if not param:
        return InvalidInput(f"{message}; seen: {', '.join(sorted(body)) or 'none'}", code=code)
    seen = repr(_at(body, place))
    shown = seen if len(seen) <= SEEN_CHARS else f"{seen[:SEEN_CHARS]}..."
    if first["type"] == "missing":
        return InvalidInput(f"{param} is missing", param=param, code=code)
    return InvalidInput(f"{param} is {shown}: {message}", param=param, code=code)


def _is_type_name(part: str | int) -> bool:
    """Return whether pydantic put the name of a union's member into the place of an error."""
    return isinstance(part, str) and ("[" in part or part in {"str", "list"})


def _at(value: Any, place: list[str | int]) -> Any:
    for part in place:
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
    return value


def _refuse_misspellings(model: type[BaseModel], body: dict[str, Any]) -> None:
    for name in body:
        if name in model.model_fields or name in OPENAI_PARAMETERS:
            continue
        near = get_close_matches(name, model.model_fields, n=1, cutoff=CLOSE)
        if near:
            raise InvalidInput(
                f"{name[:64]!r} is no field here; did you mean {near[0]!r}?", param=name[:64]
            )


def _messages(request: CompleteRequest) -> list[dict[str, Any]]:
    if request.prompt is not None:
        return [{"role": "user", "content": _clean(request.prompt)}]
    dumped = [message.model_dump(exclude_unset=True) for message in request.messages or ()]
    return [_clean(message) for message in dumped]


def _clean(value: Any) -> Any:
    """Return JSON data with lone surrogates replaced, which no store and no provider takes."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value
