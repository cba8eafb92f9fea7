"""The service before a provider that misbehaves: which scenario each arm's model plays."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.records import Attempt, Round
from tests.app.running import Running, catalogue, running
from tests.upstream.misbehaving import Conversation, Scenario, Seen, chunk, completion, misbehaving

# Far away: a busy machine fails no test. A scenario that is waited for in vain sets its own.
PATIENT = {"connect_s": 5.0, "first_content_s": 10.0, "idle_s": 10.0, "total_s": 20.0}
STREAMED = {"prompt": "hi", "stream": True, "explore": False}


@dataclass
class Faulty:
    """A running service and what its provider saw."""

    service: Running
    seen: Seen

    @property
    def asked(self) -> list[str]:
        return [body["model"] for body in self.seen.bodies]

    @property
    def decisions(self) -> list[Round]:
        """Return the rounds of the log, oldest first."""
        log = self.service.parts.log
        return sorted(log.decisions(), key=lambda each: each.decision.decided_at_s)

    def attempts(self) -> list[Attempt]:
        log = self.service.parts.log
        return [row for each in self.decisions for row in log.attempts(each.decision.id)]


@contextmanager
def faulty(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    arms: Mapping[str, Mapping[str, Any]] | None = None,
    **dials: Any,
) -> Iterator[Faulty]:
    """Yield a service whose arms play the scenarios of their names; `arms` adds to their tables."""
    more = arms or {}
    with misbehaving(dict(scenarios)) as (url, seen):
        tables = {
            name: {"timeouts": deadlines(scenario), **more.get(name, {})}
            for name, scenario in scenarios.items()
        }
        path = catalogue(folder, url, tables)
        with running(folder, arms=path, sandbox="off", **dials) as service:
            yield Faulty(service, seen)


def late(scenario: Scenario, **earlier_s: float) -> Scenario:
    """Return a scenario that is given up after so many seconds."""
    scenario.deadlines = earlier_s
    return scenario


def deadlines(scenario: Scenario) -> dict[str, float]:
    """Return how long the arm that plays a scenario is waited for."""
    return PATIENT | getattr(scenario, "deadlines", {})


def good(talk: Conversation) -> None:
    talk.reply(completion())


def busy(talk: Conversation) -> None:
    talk.head("429 Too Many Requests", "application/json", "Retry-After: 7", "Content-Length: 2")
    talk.send(b"{}")


def broken(talk: Conversation) -> None:
    talk.reply(b'{"error": {"message": "out of memory"}}', "500 Internal Server Error")


def refusing(talk: Conversation) -> None:
    error = {"message": "temperature must be below 2", "param": "temperature", "code": "too_high"}
    talk.reply(json.dumps({"error": error}).encode(), "400 Bad Request")


def unsupported(talk: Conversation) -> None:
    error = {"message": "only 1 is supported", "param": "temperature", "code": "unsupported_value"}
    talk.reply(json.dumps({"error": error}).encode(), "400 Bad Request")


def too_long(talk: Conversation) -> None:
    error = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    talk.reply(json.dumps(error).encode(), "400 Bad Request")


def unauthorised(talk: Conversation) -> None:
    talk.reply(b'{"error": {"message": "bad key sk-abcdef123456"}}', "401 Unauthorized")


def silent(talk: Conversation) -> None:
    talk.until_client_leaves()


late(silent, first_content_s=0.3)


def hanging_up(talk: Conversation) -> None:
    talk.reset()


def empty(talk: Conversation) -> None:
    talk.reply(b"{}")


def page(talk: Conversation) -> None:
    talk.reply(b"<html>Bad gateway</html>", kind="text/html")


def filtered(talk: Conversation) -> None:
    talk.reply(completion(finish="content_filter"))


def endless(talk: Conversation) -> None:
    talk.events(chunk("Once "))
    talk.until_client_leaves(data=b"data: " + chunk("and on ") + b"\n\n")
