"""The messages of a conversation in OpenAI's form, as far as they are checked on their way."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

MAX_MESSAGES = 10_000
MAX_PARTS = 256

OPEN = ConfigDict(strict=True, extra="allow")

Objects = list[dict[str, Any]]
TypeName = Annotated[str, Field(min_length=1, max_length=64)]


@with_config(OPEN)
class Part(TypedDict):
    """One part of a message: text, an image, a file; what else it carries passes through."""

    type: TypeName
    text: NotRequired[str]


def _with_what_it_says(part: Part) -> Part:
    kind = part["type"]
    if kind == "text" and "text" not in part:
        raise PydanticCustomError("missing_field", "a part of type text must have text")
    if kind == "image_url" and not _url_of(part.get("image_url")):
        raise PydanticCustomError(
            "missing_field", "a part of type image_url must have image_url with a url"
        )
    return part


def _url_of(image: Any) -> str | None:
    """Return where an image is; some providers take the address alone."""
    url = image.get("url") if isinstance(image, dict) else image
    return url if isinstance(url, str) else None


def _form(content: Any) -> str | None:
    forms = {str: "text", list: "parts", type(None): "nothing"}
    return forms.get(type(content))


MessageParts = Annotated[
    list[Annotated[Part, AfterValidator(_with_what_it_says)]],
    Field(min_length=1, max_length=MAX_PARTS),
]
Content = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[MessageParts, Tag("parts")]
    | Annotated[None, Tag("nothing")],
    Discriminator(
        _form,
        custom_error_type="invalid_value",
        custom_error_message="it must be a text, or a list of parts",
    ),
]


@with_config(OPEN)
class Message(TypedDict):
    """One message in OpenAI's form; what else it carries passes through."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: NotRequired[Content]
    tool_calls: NotRequired[Objects | None]


def _that_says_something(message: Message) -> Message:
    """Return the message; only an answer may say nothing, or what nobody here knows.

    It is sent back as it came, and some are thoughts or pictures alone.
    """
    if message.get("content") is None and message["role"] != "assistant":
        raise PydanticCustomError("missing_field", "it must have content")
    return message


Messages = Annotated[
    list[Annotated[Message, AfterValidator(_that_says_something)]],
    Field(min_length=1, max_length=MAX_MESSAGES),
]
