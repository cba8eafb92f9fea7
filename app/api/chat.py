"""OpenAI's chat completions: their request as ours, our answer as theirs.

What a provider says passes through as it came; only the id is the decision's, so that it can be
rated, and the tokens used are shown in a stream only to those who asked.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from app.api.messages import Messages
from app.api.models import named
from app.api.schemas import AskRequest
from app.mistakes import seen
from app.routing.answering import Answering
from app.routing.ask import Ask
from app.routing.turn import Completion
from policy.errors import InvalidInput
from policy.types import Arm
from upstream.answers import finish_of
from upstream.recall import counted

# What every frame of a stream says alike.
ALIKE = ("created", "model", "system_fingerprint", "service_tier")


class ChatRequest(AskRequest):
    """A conversation, who should answer, and any parameter of OpenAI's API."""

    example = '{"model": "auto", "messages": [{"role": "user", "content": "..."}]}'

    model: str = Field(
        min_length=1, description="`auto`, `auto:cheap`, `auto:best`, or an arm or model by name."
    )
    messages: Messages = Field(description="The conversation.")

    def ask(self, arms: Mapping[str, Arm]) -> Ask:
        """Return the request as the router takes it.

        raises : UnknownModel; InvalidInput for `models` beside a name that pins
        """
        wanted, ask = named(self.model, arms), self.asking(self.messages)
        if wanted.arm is None:
            return replace(ask, pay_factor=wanted.pay_factor)
        if self.models is not None:
            raise InvalidInput(
                f"models is {seen(self.models)} while model {seen(self.model)} names one arm; "
                "leave out one of the two",
                param="models",
            )
        return replace(ask, models=(wanted.arm,))

    @property
    def wants_usage(self) -> bool:
        """Return whether the tokens used are to be shown in the stream."""
        return bool((self.stream_options or {}).get("include_usage"))


def whole(completion: Completion) -> dict[str, Any]:
    """Return an answer that came in one piece, as OpenAI would write it."""
    head = {"object": "chat.completion", "created": int(time.time()), "model": completion.model}
    return {**_headed(head, completion.data), "id": completion.turn.decision.id}


def frames(answering: Answering, wants_usage: bool) -> Iterator[dict[str, Any]]:
    """Yield a streamed answer as OpenAI's frames, each with a choice but for that of the tokens.

    Clients read the first choice of every frame unless they have asked for the tokens used. What a
    provider says in a frame without one is said in the next; so the frame that ends the answer is
    held back until nothing more can come. What a frame lacks is filled in as frames before said it.
    """
    decision = answering.turn.decision
    head: dict[str, Any] = {
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": answering.turn.arm.model,
    }
    if wants_usage:
        head["usage"] = None  # the last frame has them
    ours, kept, used = {"id": decision.id}, dict[str, Any](), None
    held: list[dict[str, Any]] = []
    for chunk in answering.chunks():
        data = {**kept, **chunk.data}
        used = data.pop("usage", None) or used
        if data["choices"]:
            held.append({**_headed(head, data), **ours})
            head |= {name: data[name] for name in ALIKE if data.get(name)}
            if not any(map(finish_of, data["choices"])):
                yield from held
                held.clear()
        kept = {} if data["choices"] else data
    if held and not wants_usage:
        held[-1] = {**kept, **held[-1]}
    yield from held
    if wants_usage:
        completion = answering.completion
        if completion.continued_by or not used:
            used = counted(completion.ended.usage)
        yield {**_headed(head, kept), "choices": [], **ours, "usage": used}


def _headed(head: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a provider says, under a head of ours as far as it says none."""
    return {**head, **{name: value for name, value in said.items() if value or name not in head}}
