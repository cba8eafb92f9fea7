"""Prompts of many kinds, made from lists of words, for the tests that need more than one."""

import numpy as np

from features.prompt import Prompt
from features.sketch import Sketch

SUBJECTS = {
    "support": "refund order parcel late invoice customer account password login address",
    "code": "function python error class import return loop list variable compile",
    "maths": "integral sum prime matrix equation solve derivative angle triangle proof",
    "cooking": "onion butter oven garlic boil recipe flour sugar pepper roast",
}
GLUE = ("the", "a", "of", "and", "to", "in", "is", "it", "for", "with", "on", "that", "this", "my")
TASKS = {"support": "support", "code": "code/python", "maths": "maths", "cooking": None}

STRANGE = {
    "empty": "",
    "blank": " \t\n ",
    "lone surrogate": "half of a pair \ud83d here",
    "nul": "one\x00two",
    "chinese": "请问这份发票什么时候可以退款 我已经等了三个星期",
    "japanese": "この請求書の返金はいつですか。",
    "korean": "이 송장은 언제 환불되나요?",
    "arabic": "متى يمكن رد مبلغ هذه الفاتورة؟",
    "emoji": "👩‍👩‍👧 🎉🎉 🇫🇷",
    "combining": "e\u0301" * 300,
    "marks out of order": "e" + "\u0344" * 10_000 + "\u0323" * 10_000,
    "marks that pass for letters": "\uff9e\u0301" * 10_000,
    "one letter": "x",
    "signs": "!?;{}[]" * 200,
    "digits": "1234567890" * 100,
    "one endless word": "x" * 1_000_000,
    "a megabyte of words": "lorem ipsum dolor " * 60_000,
    "letters that unfold": "\ufdfa" * 300_000,
    "a megabyte of line ends": "\n" * 1_000_000,
}


def asked(text: str, task: str | None = None) -> Prompt:
    """Return the prompt of a conversation with one message."""
    return Prompt.of([{"role": "user", "content": text}], task)


def prompt_of(subject: str, rng: np.random.Generator, words: int = 30) -> Prompt:
    """Return a prompt about one subject, two words of three being glue."""
    told = rng.choice(SUBJECTS[subject].split(), words // 3)
    text = " ".join([*rng.choice(GLUE, words - len(told)), *told])
    return asked(" ".join(rng.permutation(text.split())), TASKS[subject])


def sketches(n: int, seed: int = 0) -> list[Sketch]:
    """Return sketches of prompts that take turns among the subjects."""
    rng = np.random.default_rng(seed)
    subjects = list(SUBJECTS)
    return [Sketch.of(prompt_of(subjects[i % len(subjects)], rng)) for i in range(n)]
