"""`python -m bench.peers.worker NAME`: a peer, told what happens in JSON lines on standard input.

It runs in the peer's own environment, so it imports nothing but the standard library, numpy where
the peer has it, and the peer. Messages, each an object on one line:

    {"begin": {"arms": {name: usd_per_answer}, "d": 64, "seed": 0, "budget_usd": null}}
    {"offer": {name: usd_per_answer}}                 the arms from now on
    {"choose": t, "context": [...]}                   answered with one line, the only one that is
    {"paid": t, "usd": 0.01}
    {"rated": t, "reward": 0.5}                       null: nothing is told, ever
    {"evaluated": name, "context": [...], "reward": 0.5}

The answer is {"arm": name, "decide_s": 0.1, "update_s": 0.2}, seconds since it began.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any, Protocol, TextIO

ADAPTERS = {
    "mabwiser-lints": "mabwiser_linear:LinTS",
    "mabwiser-linucb": "mabwiser_linear:LinUCB",
    "contextualbandits-lints": "contextualbandits_linear:LinTS",
    "vowpalwabbit": "vowpalwabbit_adf:SquareCB",
    "paretobandit": "paretobandit_router:ParetoBandit",
}


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a peer knows at first; `arms` are names with the dollars of a typical answer."""

    arms: dict[str, float]
    d: int
    seed: int
    budget_usd: float | None


class Peer(Protocol):
    """What an adapter makes of a library."""

    def offer(self, arms: Mapping[str, float]) -> None:
        """Choose among these arms from now on."""
        ...

    def choose(self, context: list[float]) -> tuple[str, float]:
        """Return an arm and the probability with which it was taken."""
        ...

    def learn(self, arm: str, context: list[float], reward: float, propensity: float) -> None:
        """Learn what an answer was worth."""
        ...

    def pay(self, usd: float) -> None:
        """Learn what an answer cost."""
        ...


class PeerWorker:
    """A peer with what it must remember until a round is rated, and its own time."""

    def __init__(self, make: Callable[[Beginning], Peer], answers: TextIO) -> None:
        self._make = make
        self._answers = answers
        self._peer: Peer | None = None
        self._unrated: dict[int, tuple[str, list[float], float]] = {}
        self._decide_s = self._update_s = 0.0

    def hear(self, message: dict[str, Any]) -> None:
        """Do what a message asks for."""
        if "begin" in message:
            self._peer, self._unrated = self._make(Beginning(**message["begin"])), {}
            self._decide_s = self._update_s = 0.0
            return
        if self._peer is None:
            raise ValueError(f"the first message must be 'begin', not {message}")
        started = perf_counter()
        if "choose" in message:
            self._choose(self._peer, message, started)
        else:
            self._learn(self._peer, message)
            self._update_s += perf_counter() - started

    def _choose(self, peer: Peer, message: dict[str, Any], started: float) -> None:
        arm, propensity = peer.choose(message["context"])
        self._decide_s += perf_counter() - started
        self._unrated[message["choose"]] = arm, message["context"], propensity
        answer = {"arm": arm, "decide_s": self._decide_s, "update_s": self._update_s}
        print(json.dumps(answer), file=self._answers, flush=True)

    def _learn(self, peer: Peer, message: dict[str, Any]) -> None:
        if "offer" in message:
            peer.offer(message["offer"])
        elif "paid" in message:
            peer.pay(message["usd"])
        elif "evaluated" in message:
            peer.learn(message["evaluated"], message["context"], message["reward"], 1.0)
        else:
            arm, context, propensity = self._unrated.pop(message["rated"])
            if message["reward"] is not None:
                peer.learn(arm, context, message["reward"], propensity)


def main(name: str) -> None:
    """Serve one peer until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    module, _, factory = ADAPTERS[name].partition(":")
    make = getattr(import_module(f"bench.peers.{module}"), factory)
    worker = PeerWorker(make, answers)
    for line in sys.stdin:
        worker.hear(json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1])
