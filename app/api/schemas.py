"""What comes in over HTTP: checked here, or an error that names the field.

Fields that are not ours are OpenAI's and pass through to the provider as they are; one that looks
like a misspelling of ours is refused, because a wish that is ignored is worse than an error.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.api.messages import OPEN, Message, Messages
from app.api.parameters import PASSED_THROUGH, NoLogprobs, OneChoice, OpenAIParameters
from app.keys.feedback_tokens import BROWSER
from app.mistakes import KEY_CHARS, explained, json_path, place_of, right, seen, seen_at
from app.routing.ask import Ask, CacheWish, Recovery
from app.routing.observed import Vote
from policy.errors import InvalidInput, MissingField

MAX_FIELDS = 100
MAX_MODELS = 256
CLOSE = 0.8
ANONYMOUS = "anonymous"
NULL = {"type": "null"}

M = TypeVar("M", bound=BaseModel)

LEVEL = " *[A-Za-z0-9_.-][A-Za-z0-9 _.-]*"
TaskTag = Annotated[
    str,
    Field(max_length=64, pattern=f"^{LEVEL}(/{LEVEL}){{0,3}}$"),
    explained(
        "it must be 1 to 64 of A-Z a-z 0-9 space . _ -, in up to 4 levels divided by /, none blank"
    ),
]
GOOD_SESSION = re.compile(r"^[!-~]{1,128}$")
Session = Annotated[
    str,
    Field(pattern=GOOD_SESSION),
    explained("it must be 1 to 128 letters, digits and signs, without spaces"),
]
Text = Annotated[str, Field(pattern=r"\S"), explained("it must be a text that is not blank")]
PriceOfAThumb = Annotated[float, Field(ge=1e-9, le=1e6, allow_inf_nan=False)]
Dollars = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class Wishes(BaseModel):
    """What a caller may wish about the routing."""

    model_config = OPEN

    task: TaskTag | None = Field(
        None, description="What kind of work it is, such as support/refunds."
    )
    models: Annotated[list[str], Field(min_length=1, max_length=MAX_MODELS)] | None = Field(
        None, description="The arms that may answer; a single one pins."
    )
    fallbacks: Annotated[list[str], Field(max_length=MAX_MODELS)] | None = Field(
        None, description="The arms that may stand in for a pinned one; default: its own."
    )
    willingness_to_pay: PriceOfAThumb | None = Field(
        None, description="Dollars that one more thumbs-up is worth."
    )
    max_cost_usd: Dollars | None = Field(
        None, description="No arm whose answer is expected to cost more."
    )
    explore: bool | None = Field(
        True, description="Whether an arm may be tried out to learn from it."
    )
    cache: CacheWish | None = Field(
        None, description="Whether a stored answer will do; else as `TURNPIKE_CACHE` says."
    )
    session: Session | None = Field(None, description="What conversation this belongs to.")
    stream_recovery: Recovery | None = Field(
        None, description="What follows when a stream breaks off; default: the service's setting."
    )


class AskRequest(OpenAIParameters, Wishes):
    """What every request for an answer may carry; `example` is the least that one must."""

    example: ClassVar[str]

    stream: bool | None = Field(
        False, description="Whether the answer comes as server-sent events."
    )

    def asking(self, messages: list[Message]) -> Ask:
        """Return the request as the router takes it."""
        return Ask(
            messages=[dict(message) for message in messages],
            task=self.task,
            models=None if self.models is None else tuple(self.models),
            fallbacks=None if self.fallbacks is None else tuple(self.fallbacks),
            willingness_to_pay_usd=self.willingness_to_pay,
            max_cost_usd=self.max_cost_usd,
            explore=self.explore is not False,
            stream=bool(self.stream),
            cache=self.cache,
            session=self.session,
            stream_recovery=self.stream_recovery,
            parameters=self._parameters(),
            given=frozenset(self._given()),
        )

    def _given(self) -> Iterator[str]:
        for name in self.model_fields_set & type(self).model_fields.keys():
            if getattr(self, name) is not None:
                yield name

    def _parameters(self) -> dict[str, Any]:
        """Return what the provider is sent besides: what was given and is not null."""
        declared = {name: getattr(self, name) for name in OpenAIParameters.model_fields}
        given = declared | (self.model_extra or {})
        return {name: value for name, value in given.items() if value is not None}


def one_of(*names: str) -> dict[str, Any]:
    """Return what a schema says of fields of which exactly one must be given, and not null."""
    given = [{"required": [name], "properties": {name: {"not": NULL}}} for name in names]
    return {"oneOf": given}


class CompleteRequest(AskRequest):
    """A prompt or messages, wishes about the routing, and any parameter of OpenAI's API."""

    model_config = ConfigDict(json_schema_extra=one_of("prompt", "messages"))
    example = '{"prompt": "..."}'

    prompt: Text | None = Field(None, description="The question, instead of messages.")
    messages: Messages | None = Field(
        None, description="The conversation in OpenAI's form, instead of a prompt."
    )
    n: OneChoice | None = None
    logprobs: NoLogprobs | None = None

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if self.prompt is None and self.messages is None:
            raise PydanticCustomError("missing_field", "prompt or messages must be given")
        if self.prompt is not None and self.messages is not None:
            raise PydanticCustomError(
                "invalid_value", "prompt and messages are both given; it must be one of them"
            )
        return self

    def ask(self) -> Ask:
        """Return the request as the router takes it."""
        if self.prompt is not None:
            return self.asking([{"role": "user", "content": self.prompt}])
        return self.asking(self.messages or [])


class FeedbackRequest(BaseModel):
    """A thumb or a reward for one decision; `neutral` withdraws what the rater had given."""

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra=one_of("thumbs", "reward")
    )
    example: ClassVar[str] = '{"id": "tp-...", "thumbs": "up"}'

    id: str = Field(
        min_length=1, max_length=128, description="The decision, as the answer names it."
    )
    thumbs: Literal["up", "down", "neutral"] | None = Field(
        None, description="The verdict; neutral withdraws it."
    )
    reward: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="How good the answer was, from 0 to 1, instead of a thumb."
    )
    rater: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        ANONYMOUS, description="Whose verdict it is; each has one."
    )
    comment: str | None = Field(None, max_length=4_000, description="Kept beside the verdict.")
    feedback_token: str | None = Field(
        None, max_length=128, description="The answer's token, in place of a key; for browsers."
    )

    @model_validator(mode="after")
    def _one_verdict(self) -> Self:
        if self.thumbs is None and self.reward is None:
            raise PydanticCustomError("missing_field", "thumbs or reward must be given")
        if self.thumbs is not None and self.reward is not None:
            raise PydanticCustomError(
                "invalid_value", "thumbs and reward are both given; it must be one of them"
            )
        return self

    @property
    def browsers_vote(self) -> Vote:
        """Return the verdict of whoever holds the feedback token, which stands for one rater.

        raises : InvalidInput if another rater is named
        """
        if "rater" in self.model_fields_set and self.rater is not None:
            raise InvalidInput(
                f"rater is {seen(self.rater)}, but a feedback token stands for one already; leave "
                "it out",
                param="rater",
            )
        return replace(self.vote, rater=BROWSER)

    @property
    def vote(self) -> Vote:
        """Return the verdict as a reward, None to withdraw."""
        thumbs = {"up": 1.0, "down": 0.0, "neutral": None}
        reward = self.reward if self.thumbs is None else thumbs[self.thumbs]
        return Vote(self.id, self.rater or ANONYMOUS, reward, self.comment)


class NoQuery(BaseModel):
    """The parameters of what takes none."""

    model_config = ConfigDict(extra="forbid")


def checked(model: type[M], body: Mapping[str, Any]) -> M:
    """Return the body as a model.

    raises : InvalidInput naming the first field that is wrong, the value seen and what is right

    >>> checked(FeedbackRequest, {"id": "tp-1", "thumbs": "up"}).vote.reward
    1.0
    """
    _refuse_misspellings(model, body)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _told(error, body) from error


def _refuse_misspellings(model: type[BaseModel], body: Mapping[str, Any]) -> None:
    """Refuse a field that is nobody's but looks like one of ours."""
    if len(body) > MAX_FIELDS:
        raise InvalidInput(f"the body has {len(body)} fields; it must have at most {MAX_FIELDS}")
    ours = model.model_fields.keys() - OpenAIParameters.model_fields.keys()
    theirs = PASSED_THROUGH | OpenAIParameters.model_fields.keys()
    for name in body.keys() - ours - theirs:
        written = name[:KEY_CHARS].lower()
        # The closeness does not see two letters of a short name that have changed places.
        near = [each for each in ours if sorted(each) == sorted(written)]
        near = near or get_close_matches(written, ours, n=1, cutoff=CLOSE)
        if near:
            raise InvalidInput(
                f"{seen(name)} is no field here; did you mean {near[0]!r}?", param=name[:KEY_CHARS]
            )


def _told(error: ValidationError, body: Mapping[str, Any]) -> InvalidInput:
    """Return the first mistake in three parts: what is wrong, the value seen, what is right."""
    found = error.errors(include_url=False)[0]
    place = place_of(found, body)
    param = json_path(place)
    kind = MissingField if found["type"].startswith("missing") else InvalidInput
    if param is None:
        given = ", ".join(seen(name) for name in [*body][:8]) or "nothing"
        message = f"the body has {given}: {right(found)}"
    elif found["type"] == "missing":
        message = f"{param} is missing; it must be given"
    elif found["type"] == "extra_forbidden":
        message = f"{param} is no field here; it must be left out"
    else:
        message = f"{param} is {seen_at(place, found['input'])}: {right(found)}"
    return kind(message, param=param)
