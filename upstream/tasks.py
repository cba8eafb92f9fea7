"""Synthetic tasks whose right answers are known: for the sandbox, the demo and the tests."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from upstream.kinds import KINDS
from upstream.wording import earlier, wrapped

_LONGEST_WORDS = 750


@dataclass(frozen=True, slots=True)
class Task:
    """One conversation that ends in a question, with what is known about it.

    units  : difficulty 0 (easy) to 1 (hard)
    """

    messages: tuple[dict[str, str], ...]
    task_tag: str
    answer: str
    kind: str
    difficulty: float

    @property
    def prompt(self) -> str:
        """Return the last message: it holds the question and all that is needed to answer."""
        return self.messages[-1]["content"]


def tasks(rng: random.Random) -> Iterator[Task]:
    """Yield tasks for ever, of all kinds, lengths and difficulties.

    >>> task = next(tasks(random.Random(7)))
    >>> recovered(task.prompt).answer == task.answer
    True
    """
    while True:
        kind = rng.choice(KINDS)
        question = kind.ask(rng, rng.random())
        padding = round(math.exp(rng.uniform(0.0, math.log(_LONGEST_WORDS)))) - 1
        prompt = wrapped(rng, kind.tag, question, padding)
        messages = (*earlier(rng), {"role": "user", "content": prompt})
        solution = kind.solve(prompt)
        if solution is not None:
            yield Task(messages, kind.tag, solution[0], kind.name, solution[1])


def recovered(prompt: str) -> Task | None:
    """Return the task in a prompt, solved afresh from its text, or None if there is none.

    >>> recovered("Hi! What is 2 + 3 * 4? Thanks").answer
    '14'
    """
    for kind in KINDS:
        solution = kind.solve(prompt)
        if solution is not None:
            messages = ({"role": "user", "content": prompt},)
            return Task(messages, kind.tag, solution[0], kind.name, solution[1])
    return None


def is_right(task: Task, text: str) -> bool:
    """Return whether the last line of an answer says `Answer: ` and then the right answer."""
    last = text.strip().rpartition("\n")[2]
    said = last.removeprefix("Answer:").strip().rstrip(".")
    return last.startswith("Answer:") and said.casefold() == task.answer.casefold()


def corrupted(answer: str, rng: random.Random) -> str:
    """Return a wrong answer that looks like the right one.

    >>> corrupted("42", random.Random(1)) != "42"
    True
    """
    items = answer.split(", ")
    if len(items) > 1:
        place = rng.randrange(len(items) - 1)
        items[place], items[place + 1] = items[place + 1], items[place]
        return ", ".join(items)
    digits = [place for place, sign in enumerate(answer) if sign.isdigit()]
    if digits:
        place = rng.choice(digits)
        other = (int(answer[place]) + rng.randint(1, 9)) % 10
        return f"{answer[:place]}{other}{answer[place + 1 :]}"
    return answer[1:] + answer[0] if len(set(answer)) > 1 else answer + "e"
