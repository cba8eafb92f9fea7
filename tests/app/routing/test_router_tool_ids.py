"""What a tool says goes to the arm that called it, also where conversations share their ids."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.app.faulty import faulty
from tests.app.keyed import Keyed
from tests.app.running import Running
from tests.upstream.misbehaving import Conversation, chunk, completion

PATH = "/v1/chat/completions"
ARMS = ("one", "two")
CALL = {"id": "functions.get:0", "type": "function", "function": {"name": "get", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": CALL["id"], "content": "42"}
ASKED = {
    "tools": [{"type": "function", "function": {"name": "get"}}],
    "cache": "off",
    "explore": False,
}


def numbering(talk: Conversation) -> None:
    """Call a tool under the id that the first call of every conversation has."""
    message = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "index": 0}]}
    if talk.body.get("stream"):
        talk.events(chunk(delta=message), chunk(finish="tool_calls"), b"[DONE]")
    else:
        talk.reply(completion(message, finish="tool_calls"))


@dataclass(frozen=True)
class Person:
    """Somebody with a key, who asks in words and perhaps in a session."""

    service: Running
    key: Keyed
    words: str
    session: str | None

    def asked(self, model: str, *answered: dict[str, Any], stream: bool) -> str:
        """Return the arm that answered."""
        messages = [{"role": "user", "content": self.words}, *answered]
        body = {"model": model, "messages": messages, "session": self.session, **ASKED}
        told = self.service.client.post(
            PATH, json={**body, "stream": stream}, headers=self.key.headers
        )
        assert told.status_code == 200, told.text
        assert told.text  # a stream is at its end once it is read
        return told.headers["x-turnpike-arm"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("ann", "bob"),
    [
        (("shop", "Where is my parcel?", None), ("shop", "Is it raining?", None)),
        (("shop", "Where is my parcel?", "ann"), ("shop", "Is it raining?", "bob")),
        (("shop", "hello", "ann"), ("shop", "hello", "bob")),
        (("shop", "hello", None), ("site", "hello", None)),
        (("shop", "hello", "s"), ("site", "hello", "s")),
    ],
    ids=["words", "words and sessions", "sessions", "tenants", "tenants with equal sessions"],
)
def test_each_caller_hears_what_its_own_tool_says(
    tmp_path: Path, ann: tuple[str, str, str | None], bob: tuple[str, str, str | None], stream: bool
) -> None:
    able = {name: {"capabilities": ["tools"]} for name in ARMS}
    with faulty(tmp_path, dict.fromkeys(ARMS, numbering), able) as made:
        service = made.service
        people = [
            Person(service, Keyed(service, f"key {n}", tenant=tenant), words, session)
            for n, (tenant, words, session) in enumerate((ann, bob))
        ]
        for arm, person in zip(ARMS, people, strict=True):
            assert person.asked(arm, stream=stream) == arm
        told = [person.asked("auto", CALLED, RESULT, stream=stream) for person in people]
        assert told == [*ARMS]
