"""A provider that does what a request asks of it: text, tools, JSON, pictures, streams, faults."""

import json
from typing import Any

from tests.upstream.misbehaving import Conversation

GREETING = "Grüezi 🙂 日本"
TRIP = {"city": "Zürich", "days": 3}
CITIES = ("Paris", "Berlin")
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4},
}
LOGPROBS = {"content": [{"token": "G", "logprob": -0.5, "bytes": [71], "top_logprobs": []}]}
PIECE = 3


def acting(talk: Conversation) -> None:
    """Play the provider: what the last message says decides whether something goes wrong."""
    body = talk.body
    if "messages" not in body:
        talk.reply(json.dumps(_other(body)).encode())
        return
    said = _text(body["messages"][-1])
    if "refuse" in said:
        error = {"error": {"message": "the picture is broken", "code": "invalid_image"}}
        talk.reply(json.dumps(error).encode(), "400 Bad Request")
    elif "busy" in said:
        talk.reply(b'{"error": {"message": "slow down"}}', "429 Too Many Requests")
    elif body.get("stream"):
        _stream(talk, body, is_cut="break" in said)
    else:
        choices = [
            {"index": n, "message": _message(body), "finish_reason": _finish(body)}
            | ({"logprobs": LOGPROBS} if body.get("logprobs") else {})
            for n in range(body.get("n") or 1)
        ]
        made = {**_head(body), "object": "chat.completion", "choices": choices, "usage": USAGE}
        talk.reply(json.dumps(made).encode())


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(p.get("text", "") for p in content)


def _head(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-theirs",
        "created": 1_700_000_000,
        "model": body["model"],
        "system_fingerprint": "fp_1",
    }


def _calls(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a call of the first tool for each city, unless tools have answered already."""
    if not body.get("tools") or body["messages"][-1]["role"] == "tool":
        return []
    name = body["tools"][0]["function"]["name"]
    return [
        {
            "id": f"call_{city}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps({"city": city})},
        }
        for city in CITIES
    ]


def _said(body: dict[str, Any]) -> str:
    asked_for = (body.get("response_format") or {}).get("type")
    return json.dumps(TRIP, ensure_ascii=False) if asked_for == "json_schema" else GREETING


def _finish(body: dict[str, Any]) -> str:
    return "tool_calls" if _calls(body) else "stop"


def _message(body: dict[str, Any]) -> dict[str, Any]:
    calls = _calls(body)
    message = {"role": "assistant", "content": None if calls else _said(body), "refusal": None}
    return message | ({"tool_calls": calls} if calls else {})


def _deltas(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a stream says, in small pieces; calls come one after the other."""
    calls = _calls(body)
    if not calls:
        text = _said(body)
        return [{"content": text[at : at + PIECE]} for at in range(0, len(text), PIECE)]
    deltas: list[dict[str, Any]] = []
    for index, call in enumerate(calls):
        told = call["function"]["arguments"]
        begun = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        pieces = [told[at : at + PIECE] for at in range(0, len(told), PIECE)]
        deltas.append({"tool_calls": [begun]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces
        ]
    return deltas


def _stream(talk: Conversation, body: dict[str, Any], *, is_cut: bool) -> None:
    deltas = [{"role": "assistant", "content": ""}, *_deltas(body)]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    head = {**_head(body), "object": "chat.completion.chunk"}
    frames = [{**head, "choices": [choice], "usage": None} for choice in choices]
    last = {"index": 0, "delta": {}, "finish_reason": _finish(body)}
    if not is_cut:
        frames += [
            {**head, "choices": [last], "usage": None},
            {**head, "choices": [], "usage": USAGE},
        ]
    raw = [json.dumps(frame, ensure_ascii=False).encode() for frame in frames]
    talk.events(*raw, *([] if is_cut else [b"[DONE]"]))


def _other(body: dict[str, Any]) -> dict[str, Any]:
    """Return an answer to a request for an embedding, or of the responses API."""
    if body.get("instructions") is None:
        data = [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}
    part = {"type": "output_text", "text": GREETING, "annotations": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant"}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": body["model"],
        "output": [{**message, "content": [part]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
