"""What OpenAI's own Python client finds, as one JSON object; it knows no more than a URL."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "hello"}]
PICTURE = [
    {"type": "text", "text": "what is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}

client = openai.OpenAI()


class Trip(BaseModel):
    """What is parsed from an answer."""

    city: str
    days: int


def asked(**more: Any) -> Any:
    return client.chat.completions.create(**{"model": "auto", "messages": HELLO, **more})


def plain() -> Any:
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, extra_body={"task": "greeting", "vendor_field": [1]}
    )
    answer = raw.parse()
    return {
        "id": answer.id,
        "model": answer.model,
        "text": answer.choices[0].message.content,
        "usage": answer.usage.model_dump(exclude_none=True),
        "fingerprint": answer.system_fingerprint,
        "headers": {name: value for name, value in raw.headers.items() if "turnpike" in name},
    }


def streamed(**options: Any) -> Any:
    chunks = list(asked(stream=True, **options))
    return {
        "ids": sorted({chunk.id for chunk in chunks}),
        "text": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
        "finish": [c.choices[0].finish_reason for c in chunks if c.choices][-1],
        "tokens": [c.usage.total_tokens for c in chunks if c.usage],
    }


def tools() -> Any:
    first = asked(tools=[WEATHER], parallel_tool_calls=True).choices[0]
    calls = first.message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    turns = [*HELLO, first.message.model_dump(exclude_none=True), *results]
    second = asked(messages=turns, tools=[WEATHER]).choices[0]
    cities = [json.loads(call.function.arguments)["city"] for call in calls]
    return {"cities": cities, "finish": first.finish_reason, "then": second.message.content}


def tools_streamed() -> Any:
    with client.chat.completions.stream(model="auto", messages=HELLO, tools=[WEATHER]) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    return [call.function.parsed_arguments["city"] for call in calls]


def parsed() -> Any:
    answer = client.chat.completions.parse(model="auto", messages=HELLO, response_format=Trip)
    return answer.choices[0].message.parsed.model_dump()


def choices() -> Any:
    answer = asked(n=2, logprobs=True, top_logprobs=1, seed=1)
    said = [choice.message.content for choice in answer.choices]
    return {"texts": said, "logprob": answer.choices[0].logprobs.content[0].logprob}


def picture() -> Any:
    return asked(messages=[{"role": "user", "content": PICTURE}]).choices[0].message.content


async def in_parallel() -> Any:
    async with openai.AsyncOpenAI() as other:
        several = [
            other.chat.completions.create(model="auto:cheap", messages=HELLO) for _ in range(8)
        ]
        whole = [answer.choices[0].message.content for answer in await asyncio.gather(*several)]
        stream = await other.chat.completions.create(model="auto", messages=HELLO, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    return {"whole": sorted(set(whole)), "streamed": "".join(pieces)}


def listed() -> Any:
    return [[model.id for model in client.models.list()], client.models.retrieve("first").owned_by]


def passed() -> Any:
    vector = client.embeddings.create(model="vendor/first", input="hi").data[0].embedding
    answer = client.responses.create(model="vendor/first", input="hi", instructions="greet")
    return {"vector": list(vector), "text": answer.output_text}


def failing(ask: Callable[[], Any]) -> Any:
    try:
        ask()
    except openai.APIError as error:
        return {"kind": type(error).__name__, "code": error.code, "message": error.message}
    return None


def say(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


CASES: dict[str, Callable[[], Any]] = {
    "plain": plain,
    "pinned": lambda: asked(model="vendor/second").model,
    "streamed": streamed,
    "streamed_with_usage": lambda: streamed(stream_options={"include_usage": True}),
    "tools": tools,
    "tools_streamed": tools_streamed,
    "parsed": parsed,
    "choices": choices,
    "picture": picture,
    "async": lambda: asyncio.run(in_parallel()),
    "listed": listed,
    "passed": passed,
    "unknown_model": lambda: failing(lambda: asked(model="gpt-99")),
    "refused": lambda: failing(lambda: asked(messages=say("refuse this"))),
    "busy": lambda: failing(
        lambda: asked(messages=say("be busy"), extra_body={"models": ["third", "fourth"]})
    ),
    "mistaken": lambda: failing(lambda: asked(temperature="hot")),
    "cut": lambda: failing(lambda: list(asked(messages=say("break off"), stream=True))),
    "bad_key": lambda: failing(lambda: openai.OpenAI(api_key="wrong").models.list()),
}

if __name__ == "__main__":
    print(json.dumps({name: case() for name, case in CASES.items()}))
