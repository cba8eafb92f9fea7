"""Request bodies that must be refused, each with the status, code and place it must be told.

The same corpus is sent to the functions that check and, over HTTP, to the whole service.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.mistakes import seen

LIMIT_BYTES = 1 << 20
"""The largest body taken by the service under test."""

JSON = "application/json"


@dataclass(frozen=True)
class Bad:
    """One request; `says` is what its message must show of the value seen or of what is right."""

    name: str
    raw: bytes
    code: str
    param: str | None = None
    says: str = ""
    path: str = "/complete"
    status: int = 400
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": JSON})


def asking(**more: Any) -> bytes:
    return json.dumps({"prompt": "hi", **more}).encode()


def rating(**more: Any) -> bytes:
    return json.dumps({"id": "tp-1", **more}).encode()


def user(content: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": content}]


PART = {"type": "text", "text": "a"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}

NOT_JSON = [
    Bad("malformed", b'{"prompt": ', "invalid_json", says="line 1"),
    Bad("trailing comma", b'{"prompt": "hi",}', "invalid_json", says="line 1"),
    Bad("two values", b'{"prompt": "hi"} {}', "invalid_json", says="column 18"),
    Bad("empty", b"", "invalid_json", says="empty"),
    Bad("white", b" \n", "invalid_json", says="empty"),
    Bad("null", b"null", "invalid_json", says="null"),
    Bad("list", b"[]", "invalid_json", says="object"),
    Bad("string", b'"x"', "invalid_json", says="object"),
    Bad("number", b"17", "invalid_json", says="object"),
    Bad("control sign in a string", b'{"prompt": "a\nb"}', "invalid_json", says="column"),
    Bad("invalid utf-8", b'{"prompt": "\xff"}', "invalid_json", says="0xff"),
    Bad("utf-16", json.dumps({"prompt": "hi"}).encode("utf-16"), "invalid_json", says="UTF-8"),
    Bad("duplicate", b'{"prompt": "a", "prompt": "b"}', "invalid_json", "prompt", "twice"),
    Bad(
        "duplicate within", b'{"prompt": "a", "x": {"k": 1, "k": 2}}', "invalid_json", says="twice"
    ),
]

TOO_DEEP = [
    Bad("900 lists", b"[" * 900 + b"]" * 900, "too_deep", says="64"),
    Bad("900 objects", b'{"a":' * 900 + b"1" + b"}" * 900, "too_deep", says="64"),
    Bad("100,000 lists never closed", b"[" * 100_000, "too_deep", says="64"),
    Bad("deep in a field", b'{"prompt": "hi", "x": ' + b"[" * 80 + b"]" * 80 + b"}", "too_deep"),
]

NUMBERS = [
    Bad("NaN", b'{"prompt": "hi", "temperature": NaN}', "invalid_number", says="NaN"),
    Bad("Infinity", b'{"prompt": "hi", "x": {"y": Infinity}}', "invalid_number", says="Infinity"),
    Bad("-Infinity", b'{"prompt": "hi", "top_p": -Infinity}', "invalid_number", says="-Infinity"),
    Bad("1e999", b'{"prompt": "hi", "temperature": 1e999}', "invalid_number", says="1e999"),
    Bad("5,000 digits", b'{"prompt": "hi", "seed": ' + b"9" * 5_000 + b"}", "invalid_value"),
    Bad("2**70", asking(max_tokens=2**70), "invalid_value", says="1180591620717411303"),
    Bad("-2**70", asking(seed=-(2**70)), "invalid_value", says="-1180591620717411303"),
]

FIELDS = [
    Bad("negative max_tokens", asking(max_tokens=-1), "invalid_value", "max_tokens", "-1"),
    Bad("boolean max_tokens", asking(max_tokens=True), "invalid_value", "max_tokens", "true"),
    Bad("text max_tokens", asking(max_tokens="5"), "invalid_value", "max_tokens", "'5'"),
    Bad("huge max_tokens", asking(max_tokens=10**9), "invalid_value", "max_tokens", "1000000000"),
    Bad("n=100", asking(n=100), "invalid_value", "n", "100"),
    Bad("n=3", asking(n=3), "invalid_value", "n", "/v1/chat/completions"),
    Bad("temperature 9", asking(temperature=9), "invalid_value", "temperature", "equal to 2"),
    Bad("stop 5", asking(stop=5), "invalid_value", "stop", "a text or a list of texts"),
    Bad("stop [5]", asking(stop=["a", 5]), "invalid_value", "stop", '["a", 5]'),
    Bad("a tool without a type", asking(tools=[TOOL, {}]), "missing_field", "tools[1].type"),
    Bad("a tool of type 5", asking(tools=[{"type": 5}]), "invalid_value", "tools[0].type", "5"),
    Bad("functions 5", asking(functions=5), "invalid_value", "functions", "5"),
    Bad("include_usage 'yes'", asking(stream_options={"include_usage": "yes"}), "invalid_value",
        "stream_options.include_usage", "true or false"),
    Bad("an image without a url",
        json.dumps({"messages": user([PART, {"type": "image_url"}])}).encode(),
        "missing_field", "messages[0].content[1]", "image_url with a url"),
    Bad("an image whose url is none",
        json.dumps({"messages": user([{"type": "image_url", "image_url": {"url": 5}}])}).encode(),
        "missing_field", "messages[0].content[0]", "image_url with a url"),
    Bad("neither", b"{}", "missing_field", says="prompt"),
    Bad("both", asking(messages=user("hi")), "invalid_value", says="messages"),
    Bad("empty prompt", asking(prompt=""), "invalid_value", "prompt", "''"),
    Bad("prompt a list", asking(prompt=["hi"]), "invalid_value", "prompt", '["hi"]'),
    Bad("no messages", b'{"messages": []}', "invalid_value", "messages", "[]"),
    Bad("a role of its own", b'{"messages": [{"role": "boss", "content": "hi"}]}',
        "invalid_value", "messages[0].role", "'boss'"),
    Bad("no role", b'{"messages": [{"content": "hi"}]}', "missing_field", "messages[0].role"),
    Bad("willingness 0", asking(willingness_to_pay=0), "invalid_value", "willingness_to_pay", "0"),
    Bad("willingness true", asking(willingness_to_pay=True), "invalid_value",
        "willingness_to_pay", "true"),
    Bad("max_cost_usd -1", asking(max_cost_usd=-1), "invalid_value", "max_cost_usd", "-1"),
    Bad("explore 0", asking(explore=0), "invalid_value", "explore", "0: it must be true or false"),
    Bad("cache true", asking(cache=True), "invalid_value", "cache", "cache is true: it must be"),
    Bad("messages an object", json.dumps({"messages": {"a": None}}).encode(), "invalid_value",
        "messages", '{"a": null}'),
    Bad("stream 'yes'", asking(stream="yes"), "invalid_value", "stream", "'yes'"),
    Bad("task too deep", asking(task="a/b/c/d/e"), "invalid_value", "task", "a/b/c/d/e"),
    Bad("a blank task", asking(task="   "), "invalid_value", "task", "none blank"),
    Bad("a blank level of a task", asking(task="a/ /b"), "invalid_value", "task", "'a/ /b'"),
    Bad("task with a newline", asking(task="a\nb"), "invalid_value", "task", r"a\nb"),
    Bad("a field of ours misspelt", asking(wilingness_to_pay=1), "invalid_value",
        "wilingness_to_pay", "willingness_to_pay"),
    Bad("explore misspelt", asking(explroe=False), "invalid_value", "explroe", "explore"),
]  # fmt: skip

TOO_MANY = [
    Bad("11,000 messages", json.dumps({"messages": user("a") * 11_000}).encode(),
        "invalid_value", "messages", "10000"),
    Bad("10,000 parts", json.dumps({"messages": user([PART] * 10_000)}).encode(),
        "invalid_value", "messages[0].content", "256"),
    Bad("2,000 tools", asking(tools=[TOOL] * 2_000), "invalid_value", "tools", "256"),
]  # fmt: skip

ARM_NAMES = [
    Bad("unknown arm", asking(models=["gpt-5"]), "model_not_found", "models", "'gpt-5'"),
    Bad("arm with a newline", asking(models=["a\nb"]), "model_not_found", "models", r"'a\nb'"),
    Bad("arm of 10 kB", asking(models=["x" * 10_000]), "model_not_found", "models", "xxx"),
    Bad("arm with a quote", asking(models=["a'; DROP TABLE decisions;--"]),
        "model_not_found", "models", "DROP TABLE"),
    Bad("one unknown of two", asking(models=["gpt-4o", "gpt-5"]),
        "model_not_found", "models", "gpt-5"),
    Bad("no arm", asking(models=[]), "invalid_value", "models", "[]"),
    Bad("a name, not a list", asking(models="gpt-4o"), "invalid_value", "models", "'gpt-4o'"),
]  # fmt: skip

MEDIA = [
    Bad("form", b"prompt=hi", "unsupported_media_type", "content-type", "x-www-form", status=415,
        headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Bad("text", asking(), "unsupported_media_type", "content-type", "text/plain", status=415,
        headers={"Content-Type": "text/plain"}),
    Bad("no type", asking(), "unsupported_media_type", "content-type", "application/json",
        status=415, headers={}),
    Bad("gzip", gzip.compress(asking()), "unsupported_media_type", "content-encoding", status=415,
        headers={"Content-Type": JSON, "Content-Encoding": "gzip"}),
    Bad("too large", asking(prompt="x" * LIMIT_BYTES), "request_too_large", says=str(LIMIT_BYTES),
        status=413),
]  # fmt: skip

VALUES = [
    *[
        Bad(f"reward {shown}", b'{"id": "tp-1", "reward": ' + shown.encode() + b"}", code,
            says=shown, path="/feedback")
        for shown, code in {"NaN": "invalid_number", "Infinity": "invalid_number",
                            "1e999": "invalid_number"}.items()
    ],
    *[
        Bad(f"reward {value!r}", rating(reward=value), "invalid_value", "reward", seen(value),
            path="/feedback")
        for value in (1e308, 2, -5, 1.0000001, True, "up", [1], {"a": 1})
    ],
    *[
        Bad(f"thumbs {value!r}", rating(thumbs=value), "invalid_value", "thumbs", seen(value),
            path="/feedback")
        for value in ("UP", "", 1, True, ["up"])
    ],
    Bad("reward null", rating(reward=None), "missing_field", says="thumbs", path="/feedback"),
    Bad("no verdict", rating(), "missing_field", says="thumbs", path="/feedback"),
    Bad("two verdicts", rating(thumbs="up", reward=1.0), "invalid_value", says="reward",
        path="/feedback"),
    Bad("no id", b'{"thumbs": "up"}', "missing_field", "id", path="/feedback"),
    Bad("id a number", rating(id=5, thumbs="up"), "invalid_value", "id", "5", path="/feedback"),
    Bad("a field too many", rating(thumbs="up", score=3), "invalid_value", "score",
        path="/feedback"),
    Bad("rater too long", rating(thumbs="up", rater="x" * 65), "invalid_value", "rater", "64",
        path="/feedback"),
    Bad("comment too long", rating(thumbs="up", comment="x" * 4_001), "invalid_value", "comment",
        "4000", path="/feedback"),
]  # fmt: skip

BAD = [*NOT_JSON, *TOO_DEEP, *NUMBERS, *FIELDS, *TOO_MANY, *ARM_NAMES, *MEDIA, *VALUES]

ODD_BUT_GOOD = {
    "byte order mark": b"\xef\xbb\xbf" + asking(),
    "lone surrogate": rb'{"prompt": "a\ud800b"}',
    "lone surrogate in a key": rb'{"prompt": "hi", "metadata": {"\udfff": "\udfff"}}',
    "NUL": rb'{"prompt": "a\u0000b"}',
    "a backslash before u0000": rb'{"prompt": "a\\u0000b"}',
    "64 deep": b'{"prompt": "hi", "x": ' + b"[" * 63 + b"]" * 63 + b"}",
    "brackets in a string": b'{"prompt": "' + b"[" * 900 + b'"}',
    "an emoji of two code units": '{"prompt": "\U0001f600"}'.encode(),
    "an answer that was spoken": json.dumps(
        {"messages": [*user("hi"), {"role": "assistant", "audio": {"id": "a"}}, *user("hi")]}
    ).encode(),
    "an image by its address alone": json.dumps(
        {"messages": user([PART, {"type": "image_url", "image_url": "https://example.com/a.png"}])}
    ).encode(),
    "the edges of what is checked": asking(
        temperature=2, stop=[], tools=[TOOL], stream_options={"include_usage": None, "x": 1}
    ),
    "largest integer": asking(seed=2**64 - 1),
    "least integer": asking(seed=-(2**63)),
}
