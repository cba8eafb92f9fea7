"""The sandbox: synthetic models behind a real provider, so that everything runs without a key.

Each model answers a task of `upstream/tasks.py` rightly with a known probability that depends on
the kind of task and its difficulty. The draw is a hash of model, prompt and seed: the same question
gets the same answer, and a run can be repeated. No language model is involved, and every answer is
labelled so.
"""

import hashlib
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from upstream.catalogue import Catalogue
from upstream.kinds import KINDS
from upstream.provider import Responder, Serving, serve
from upstream.replies import Reply
from upstream.shaping import choices, shaped
from upstream.tasks import Task, corrupted, recovered
from upstream.tokens import count_messages

LABEL = "sandbox"
ECONOMY_SLOWNESS = 4.0


@dataclass(frozen=True, slots=True)
class Model:
    """How a synthetic model behaves: accuracy per kind, what hardness costs it, how it talks.

    units  : accuracy 0..1 at difficulty 0.5; drop: accuracy lost from difficulty 0 to 1
    """

    accuracy: Mapping[str, float]
    drop: float
    thinking_words: int
    slowness: float = 1.0


def _model(accuracies: str, drop: float, thinking_words: int, slowness: float = 1.0) -> Model:
    values = [int(each) / 100 for each in accuracies.split()]
    names = [kind.name for kind in KINDS]
    return Model(dict(zip(names, values, strict=True)), drop, thinking_words, slowness)


# In the order of KINDS:
# arithmetic units dates counting topic field sorting translation loop slice
MODELS = {
    "openai/gpt-4o": _model("88 91 90 88 95 95 92 92 85 88", 0.10, 12),
    "deepseek-ai/DeepSeek-V4-Pro": _model("97 97 82 80 86 82 97 71 97 97", 0.10, 90, 2.0),
    "deepseek-ai/DeepSeek-V4-Flash": _model("81 87 79 75 91 91 80 79 73 73", 0.40, 8, 0.6),
    "Qwen/Qwen3-32B": _model("74 76 68 66 84 80 74 98 70 70", 0.20, 45, 1.2),
    "zhipuai/GLM-4-Plus": _model("56 62 96 95 98 98 78 60 52 52", 0.20, 10),
}
UNKNOWN = _model("75 75 75 75 75 75 75 75 75 75", 0.20, 20)

_THOUGHT = (
    "let me look at what is asked here first then go through it step by step and check each part "
    "before I settle on a result because a slip is easily made in the middle of such a thing"
)


def expected(task: Task, model: str) -> float:
    """Return the probability that the model answers the task rightly."""
    known = MODELS.get(model, UNKNOWN)
    value = known.accuracy[task.kind] + known.drop * (0.5 - task.difficulty)
    return min(0.995, max(0.02, value))


def sandbox_responder(latency_s: float = 0.003, seed: int = 0) -> Responder:
    """Return the responder that plays all the models.

    `latency_s` is what a model of ordinary speed waits before its first content.
    """

    def respond(model: str, body: dict[str, Any]) -> Reply:
        messages = body["messages"]
        prompt = _last_text(messages)
        draws = [str(seed), *(f"{seed}.{nth}" for nth in range(1, choices(body)))]
        first, *others = [shaped(body, _text(model, prompt, draw)) for draw in draws]
        waited = latency_s * MODELS.get(model, UNKNOWN).slowness
        if body.get("service_tier") == "flex":
            waited *= ECONOMY_SLOWNESS
        asked = count_messages(messages)
        return replace(first, input_tokens=asked, latency_s=waited, others=tuple(others))

    return respond


def serve_sandbox(
    catalogue: Callable[[], Catalogue],
    latency_s: float = 0.003,
    listener: socket.socket | None = None,
) -> Serving:
    """Return a running sandbox that answers for the models of the catalogue as it is when asked."""

    def models() -> list[str]:
        return [arm.model for arm in catalogue().arms.values()]

    return serve(sandbox_responder(latency_s), models, LABEL, listener)


def _last_text(messages: list[Any]) -> str:
    last = messages[-1] if messages else None
    content = last.get("content") if isinstance(last, dict) else None
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _text(model: str, prompt: str, draw: str) -> str:
    task = recovered(prompt)
    if task is None:
        return (
            f"This is the sandbox: {model} was not asked. "
            "Set the provider's key to get answers from real models."
        )
    digest = hashlib.sha256(f"{draw}\0{model}\0{prompt}".encode(errors="replace")).digest()
    rng = random.Random(digest)  # noqa: S311 - a repeatable draw, not a secret
    answer = task.answer if rng.random() < expected(task, model) else corrupted(task.answer, rng)
    return f"{_preamble(MODELS.get(model, UNKNOWN), task, rng)}\nAnswer: {answer}"


def _preamble(model: Model, task: Task, rng: random.Random) -> str:
    words = max(3, round(model.thinking_words * rng.uniform(0.5, 1.5) * (0.5 + task.difficulty)))
    thought = _THOUGHT.split()
    start = rng.randrange(len(thought))
    told = (thought * (1 + (start + words) // len(thought)))[start : start + words]
    return " ".join(told).capitalize() + "."
