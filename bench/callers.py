"""Callers of every kind at once, who keep a journal of what they were told."""

import json
import random
import threading
import time
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from bench.diary import Diary
from bench.serving import exchange

PAUSE_S = 0.1
ANSWERED_WITHIN_S = 30.0
RATED, RATED_AGAIN = 0.5, 0.3
ASKED, CHATTED, RATED_AT = "/complete", "/v1/chat/completions", "/feedback"
PLAIN, STREAM, CHAT = "plain", "streamed", "OpenAI stream"
REWARDS = {"up": 1.0, "down": 0.0, "neutral": None}


class Cut(Exception):
    """The service has closed in the middle: nothing was acknowledged."""


class Caller(threading.Thread):
    """One caller, who asks, rates, and changes its mind until stopped."""

    def __init__(self, port: int, name: str, diary: Diary, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.port = port
        self.diary = diary
        self.stopping = threading.Event()
        self._asked: list[str] = []
        self._random = random.Random(seed)  # noqa: S311

    def run(self) -> None:
        """Ask again and again."""
        while not self.stopping.wait(PAUSE_S * self._random.random()):
            kills = self.diary.kills
            try:
                self._step()
            except (OSError, Cut, HTTPException) as error:
                self.diary.fault(kills, f"{self.name} got no answer: {error!r}")
                time.sleep(PAUSE_S)
            except ValueError as error:
                self.diary.fault(kills, f"{self.name} got what is no answer: {error}")

    def _step(self) -> None:
        prompt = f"What is {self._random.randrange(100)} + {self._random.randrange(100)}?"
        kind = self._random.choice((PLAIN, PLAIN, STREAM, CHAT))
        if kind == PLAIN:
            answer = self._answer(ASKED, {"prompt": prompt, "task": "maths"})
            identity = answer["id"]
        elif kind == STREAM:
            identity = self._streamed(ASKED, {"prompt": prompt, "stream": True})
        else:
            messages = [{"role": "user", "content": prompt}]
            asked = {"model": "auto", "messages": messages, "stream": True}
            identity = self._streamed(CHATTED, asked)
        self.diary.outcome(kind, identity)
        if self._random.random() < RATED:
            self._asked.append(identity)
            self._rate(identity)
        if self._asked and self._random.random() < RATED_AGAIN:
            self._rate(self._random.choice(self._asked))

    def _rate(self, identity: str) -> None:
        thumbs = self._random.choice(("up", "up", "down", "neutral"))
        asked = {"id": identity, "thumbs": thumbs, "rater": self.name}
        told = self._answer(RATED_AT, asked)
        told.pop("id")
        self.diary.thumb(identity, self.name, told, REWARDS[thumbs])

    def _answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of a 200.

        raises : Cut, OSError when there is none; ValueError when it is none
        """
        answer: dict[str, Any] = json.loads(self._received(path, body))
        return answer

    def _streamed(self, path: str, body: dict[str, Any]) -> str:
        """Return the id of a stream that came to its end.

        raises : Cut when it ended with an error or in the middle; ValueError when it is none
        """
        events = self._received(path, body).decode().split("\n\n")
        told = [each.removeprefix("data: ") for each in events if each.startswith("data: ")]
        if not told or told[-1] != "[DONE]":
            raise Cut(f"the stream ends with {events[-1]!r}")
        identity: str = json.loads(told[0])["id"]
        return identity

    def _received(self, path: str, body: dict[str, Any]) -> bytes:
        status, raw = exchange(self.port, "POST", path, body, ANSWERED_WITHIN_S)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.diary.refused(path)
        if status != HTTPStatus.OK:
            raise Cut(f"{path} was answered {status}: {raw[:200]!r}")
        return raw
