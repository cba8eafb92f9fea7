"""What a caller asks, once it has been checked."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.mistakes import seen
from policy.eligibility import ANSWER_LIMITS
from policy.errors import InvalidInput, UnknownArm
from policy.letters import about_tokens
from upstream.answers import TOOLS
from upstream.usage import UNREAD

SEEN_BY = {"image_url": "vision", "input_audio": "audio", "file": "file"}
"""What an arm must be able to do that is to see a part of a message, by its kind."""
CacheWish = Literal["use", "refresh", "off"]
Recovery = Literal["continue", "hold", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A checked request for an answer; `parameters` go to the provider as they came.

    `models` None lets the policy choose among all arms, one name pins; `fallbacks` None are those
    of the pinned arm; `pay_factor` is by how much more than usual the caller would pay for a better
    answer; `cache` None is what the service does; `given` are the fields that the caller sent.

    units  : willingness_to_pay_usd is dollars that one more thumbs-up is worth
    """

    messages: list[dict[str, Any]]
    task: str | None = None
    models: tuple[str, ...] | None = None
    fallbacks: tuple[str, ...] | None = None
    willingness_to_pay_usd: float | None = None
    pay_factor: float = 1.0
    max_cost_usd: float | None = None
    explore: bool = True
    stream: bool = False
    cache: CacheWish | None = None
    session: str | None = None
    stream_recovery: Recovery | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    @property
    def body(self) -> dict[str, Any]:
        """Return what the provider is sent, but for the model."""
        return {"messages": self.messages, **self.parameters}

    @property
    def tools(self) -> list[Any]:
        """Return the tools the answer may call, by their older name too."""
        return [tool for name in TOOLS for tool in self.parameters.get(name) or ()]

    @property
    def beside(self) -> list[Any]:
        """Return what else a model may read: a schema, documents, whatever its provider takes."""
        unread = {*UNREAD, *TOOLS}
        read = (value for name, value in self.parameters.items() if name not in unread)
        return [value for value in read if isinstance(value, str | list | dict)]

    @property
    def needs(self) -> frozenset[str]:
        """Return what an arm must be able to do."""
        needs: set[str] = set()
        if self.tools:
            needs.add("tools")
        kinds = {kind for message in self.messages for kind in _kinds(message)}
        needs |= {SEEN_BY[kind] for kind in kinds & SEEN_BY.keys()}
        spoken = self.parameters.get("modalities")
        if isinstance(spoken, list) and "audio" in spoken:
            needs.add("audio")
        asked_for = self.parameters.get("response_format")
        if isinstance(asked_for, Mapping) and asked_for.get("type") == "json_schema":
            needs.add("json_schema")
        return frozenset(needs)

    @property
    def max_output_tokens(self) -> int | None:
        """Return the longest answer the caller takes; of two limits the provider takes either."""
        return max(self.parameters.get(name) or 0 for name in ANSWER_LIMITS) or None

    @property
    def choices(self) -> int:
        """Return how many answers are asked for at once."""
        return int(self.parameters.get("n") or 1)

    @property
    def may_be_blank(self) -> bool:
        """Return whether an answer may say nothing: it stops at once, or the work is done."""
        return bool(self.parameters.get("stop")) or self.in_tool_loop

    @property
    def is_free_text(self) -> bool:
        """Return whether another arm could go on from a part of the answer.

        Several choices break off in several places; and an arm that must keep to a format begins it
        anew.
        """
        asked_for = self.parameters.get("response_format")
        is_text = not isinstance(asked_for, Mapping) or asked_for.get("type") == "text"
        return is_text and self.choices == 1

    def after(self, partial: str) -> dict[str, Any]:
        """Return the body that asks for the rest of a text answer that broke off.

        Its end carries no white space, which some providers refuse.
        """
        said = {"role": "assistant", "content": partial.rstrip()}
        body = {**self.body, "messages": [*self.messages, said]}
        spent = int(about_tokens(partial))
        limits = [name for name in ANSWER_LIMITS if body.get(name) is not None]
        return body | {name: max(1, body[name] - spent) for name in limits}

    def require_known(self, arms: Collection[str], allowed: Collection[str]) -> None:
        """Refuse a wish for an arm that does not exist, or for stand-ins that cannot be.

        Nobody may stand in where no arm is pinned, or whom the key does not allow.

        raises : UnknownArm, InvalidInput
        """
        for param, names in (("models", self.models), ("fallbacks", self.fallbacks)):
            unknown = [name for name in names or () if name not in arms]
            if unknown:
                listed = ", ".join(sorted(arms))
                raise UnknownArm(
                    f"{param} has {seen(unknown[0])}, which is no arm here; the arms are {listed}",
                    param=param,
                )
        if self.fallbacks is not None and not self.pins:
            raise InvalidInput(
                f"fallbacks is {seen(list(self.fallbacks))}, but no arm is pinned that they could "
                "stand in for; name one arm, or leave it out",
                param="fallbacks",
            )
        if self.fallbacks and not {*self.fallbacks} & {*allowed}:
            raise InvalidInput(
                f"fallbacks is {seen(list(self.fallbacks))}, none of which the key allows; it "
                f"allows {', '.join(sorted(allowed))}",
                param="fallbacks",
            )

    @property
    def pins(self) -> bool:
        """Return whether the caller chose the arm."""
        return self.models is not None and len(self.models) == 1

    @property
    def is_conversation(self) -> bool:
        """Return whether a model has said something before."""
        return any(message.get("role") == "assistant" for message in self.messages)

    @property
    def in_tool_loop(self) -> bool:
        """Return whether the answer continues a tool call: no place to try another arm out."""
        return self.messages[-1].get("role") in {"tool", "function"}


def _kinds(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield the kind of each part of a message."""
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        yield str(part.get("type"))
