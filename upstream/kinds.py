"""The kinds of task in the sandbox: each can ask a question and solve one from its text alone.

A kind asks at a level from 0 (easy) to 1 (hard). What it solves, it also grades: the difficulty is
read off the question, so that the asking and the answering side can never disagree about it.
"""

import datetime
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

Solution = tuple[str, float]


@dataclass(frozen=True, slots=True)
class TaskKind:
    """One kind of task: `ask` a question at a level, or `solve` one into (answer, difficulty)."""

    name: str
    tag: str
    ask: Callable[[random.Random, float], str]
    solve: Callable[[str], Solution | None]


def _graded(size: float, easiest: float, hardest: float) -> float:
    return min(1.0, max(0.0, (size - easiest) / (hardest - easiest)))


def _between(rng: random.Random, level: float, low: int, high: int) -> int:
    """Return a size that grows with the level from `low` to `high`, give or take one."""
    return min(high, max(low, round(low + level * (high - low)) + rng.choice((-1, 0, 1))))


def _ask_arithmetic(rng: random.Random, level: float) -> str:
    terms = _between(rng, level, 2, 6)
    biggest = (9, 99, 999)[round(2 * level)]
    pieces = [str(rng.randint(2, biggest))]
    for _ in range(terms - 1):
        pieces += [rng.choice("++-*"), str(rng.randint(2, biggest))]
    asked = ("What is {}?", "Please compute {}.", "Work out {} for me.", "{} makes how much?")
    return rng.choice(asked).format(" ".join(pieces))


def _solve_arithmetic(text: str) -> Solution | None:
    found = re.search(r"\d+(?: [-+*] \d+)+", text)
    if not found:
        return None
    terms = re.findall(r"([-+]?) ?(\d+(?: \* \d+)*)", found[0])
    values = [
        math.prod(map(int, term.split(" * "))) * (-1) ** (sign == "-") for sign, term in terms
    ]
    return str(sum(values)), _graded(len(re.sub(r"\D", "", found[0])), 2, 15)


_UNITS = {
    "km": ("m", 1000, 0.1), "kg": ("g", 1000, 0.1), "litres": ("ml", 1000, 0.1),
    "hours": ("minutes", 60, 0.3), "days": ("hours", 24, 0.4), "weeks": ("hours", 168, 0.6),
    "dozen": ("pieces", 12, 0.4), "feet": ("inches", 12, 0.5), "pounds": ("ounces", 16, 0.5),
    "miles": ("feet", 5280, 0.7), "fortnights": ("minutes", 20160, 0.7),
}  # fmt: skip


def _ask_units(rng: random.Random, level: float) -> str:
    unit = rng.choice(list(_UNITS))
    amount = rng.randint(2, 10 ** _between(rng, level, 1, 4))
    asked = ("Convert {} to {}.", "How much is {} in {}?", "I have {} and need it expressed in {}.")
    return rng.choice(asked).format(f"{amount} {unit}", _UNITS[unit][0])


def _solve_units(text: str) -> Solution | None:
    pattern = r"(?:Convert|How much is|I have) (\d+) (\w+) (?:to|in|and need it expressed in) (\w+)"
    found = re.search(pattern, text)
    if not found or found[2] not in _UNITS:
        return None
    _, factor, hard = _UNITS[found[2]]
    return str(int(found[1]) * factor), min(1.0, hard + 0.1 * (len(found[1]) - 1))


def _ask_dates(rng: random.Random, level: float) -> str:
    start = datetime.date(2024, 1, 1) + datetime.timedelta(days=rng.randrange(1000))
    days = rng.randint(1, 8) + round(level * 120)
    asked = (
        "My order from {} comes with a return window of {} days. On which date does it end?",
        "The trial began on {} and lasts {} days. On which date is it over?",
        "Our subscription started on {}; the notice period is {} days. What date is the last one?",
    )
    return rng.choice(asked).format(start.isoformat(), days)


def _solve_dates(text: str) -> Solution | None:
    found = re.search(r"(\d{4}-\d\d-\d\d)\D+?(\d+) days", text)
    if not found:
        return None
    days = int(found[2])
    end = datetime.date.fromisoformat(found[1]) + datetime.timedelta(days=days)
    return end.isoformat(), _graded(days, 0, 125)


_CHATTER = ("order", "invoice", "refund", "ticket", "agent", "reply", "delay", "credit", "parcel")


def _ask_counting(rng: random.Random, level: float) -> str:
    words = rng.choices(_CHATTER, k=_between(rng, level, 6, 40))
    asked = (
        'How many times does "{}" occur in this call log: {}.',
        'How often does "{}" occur in this list of labels: {}.',
    )
    return rng.choice(asked).format(rng.choice(words), " ".join(words))


def _solve_counting(text: str) -> Solution | None:
    found = re.search(r'does "(\w+)" occur in this [\w ]+: ([\w ]+)\.', text)
    if not found:
        return None
    words = found[2].split()
    return str(words.count(found[1])), _graded(len(words), 6, 40)


_TOPICS = {
    "billing": ("I was charged twice.", "The invoice is wrong.", "My payment was rejected."),
    "delivery": ("The parcel is lost.", "The courier never came.", "Nothing was shipped yet."),
    "login": ("My password is refused.", "I am locked out.", "The reset code never works."),
    "cancellation": ("I want to quit the plan.", "Please end my membership.", "Stop the renewal."),
}


def _ask_topic(rng: random.Random, level: float) -> str:
    topic, other = rng.sample(sorted(_TOPICS), 2)
    ours, theirs = ((1, 0), (2, 0), (2, 1))[round(2 * level)]
    told = rng.sample(_TOPICS[topic], ours) + rng.sample(_TOPICS[other], theirs)
    rng.shuffle(told)
    asked = (
        'Is this mostly about billing, delivery, login or cancellation? Message: "{}"',
        'Sort into billing, delivery, login or cancellation, one word. Message: "{}"',
    )
    return rng.choice(asked).format(" ".join(told))


def _solve_topic(text: str) -> Solution | None:
    found = re.search(r'billing, delivery, login or cancellation\b.*?Message: "([^"]+)"', text)
    if not found:
        return None
    hits = {
        topic: sum(said in found[1] for said in sentences) for topic, sentences in _TOPICS.items()
    }
    return max(hits, key=lambda topic: hits[topic]), _graded(sum(hits.values()), 0.5, 3)


_FIELDS = (
    "order number", "billing city", "shipping city", "contact name", "invoice total", "due date",
    "tax code", "carrier", "parcel weight", "warehouse", "sales person", "payment term",
)  # fmt: skip


def _ask_field(rng: random.Random, level: float) -> str:
    names = rng.sample(_FIELDS, _between(rng, level, 3, 12))
    letters = "".join(rng.choices("ABCDEFGHKLMNPRSTUVWXYZ", k=2 * len(names)))
    lines = [
        f"{name}: {letters[2 * i : 2 * i + 2]}-{rng.randint(100, 9999)}"
        for i, name in enumerate(names)
    ]
    asked = ("What is the {} in this record?", "Extract the {} in this record?")
    return "\n".join([rng.choice(asked).format(rng.choice(names)), *lines])


def _solve_field(text: str) -> Solution | None:
    found = re.search(r"the ([a-z ]+) in this record\?\n((?:[a-z ]+: \S+(?:\n|$))+)", text)
    if not found:
        return None
    record = dict(line.split(": ") for line in found[2].splitlines())
    return record[found[1]], _graded(len(record), 2, 12)


_NOUNS = (
    "lantern", "harbour", "meadow", "copper", "violet", "anchor", "basket", "cinder", "dagger",
    "ember", "falcon", "garnet", "hazel", "island", "jasper", "kettle", "ladder", "marble",
    "needle", "orchard", "pepper", "quarry", "ribbon", "saddle", "timber", "urchin",
)  # fmt: skip


def _ask_sorting(rng: random.Random, level: float) -> str:
    words = rng.sample(_NOUNS, _between(rng, level, 3, 12))
    asked = (
        "Put these entries in alphabetical order: {}.",
        "Return these names in alphabetical order: {}.",
        "Sort the codes below in alphabetical order: {}.",
    )
    return rng.choice(asked).format(", ".join(words))


def _solve_sorting(text: str) -> Solution | None:
    found = re.search(r"in alphabetical order: ([a-z, ]+)\.", text)
    if not found:
        return None
    words = found[1].split(", ")
    return ", ".join(sorted(words)), _graded(len(words), 3, 12)


_DICTIONARY = {
    "German": "one eins two zwei three drei five fünf seven sieben house haus water wasser "
    "bread brot red rot green grün door tür winter winter",
    "French": "one un two deux three trois five cinq seven sept house maison water eau "
    "bread pain red rouge green vert door porte winter hiver",
    "Spanish": "one uno two dos three tres five cinco seven siete house casa water agua "
    "bread pan red rojo green verde door puerta winter invierno",
    "Italian": "one uno two due three tre five cinque seven sette house casa water acqua "
    "bread pane red rosso green verde door porta winter inverno",
}
_MEANINGS = {
    language: dict(zip(words.split()[::2], words.split()[1::2], strict=True))
    for language, words in _DICTIONARY.items()
}


def _ask_translation(rng: random.Random, level: float) -> str:
    language = rng.choice(list(_MEANINGS))
    words = rng.sample(list(_MEANINGS[language]), _between(rng, level, 1, 9))
    asked = (
        "Translate word by word into {}: {}.",
        "Say this in {}, keeping the order, in {}: {}.",
        "We need these words in {}: {}.",
    )
    form = rng.choice(asked)
    names = [language] * (form.count("{}") - 1)
    return form.format(*names, ", ".join(words))


def _solve_translation(text: str) -> Solution | None:
    found = re.search(rf"in(?:to)? ({'|'.join(_MEANINGS)}): ([a-z, ]+)\.", text)
    if not found:
        return None
    words = found[2].split(", ")
    meanings = _MEANINGS[found[1]]
    return ", ".join(meanings[word] for word in words), _graded(len(words), 0, 9)


def _ask_loop(rng: random.Random, level: float) -> str:
    step, factor = rng.randint(1, 3), rng.randint(1, 2 + round(6 * level))
    start = rng.randint(0, 5)
    stop = start + step * _between(rng, level, 2, 12)
    asked = ("What does this print?", "What is the output of this code?", "Predict the output:")
    return (
        f"{rng.choice(asked)}\n```python\ntotal = 0\nfor i in range({start}, {stop}, {step}):\n"
        f"    total += i * {factor}\nprint(total)\n```"
    )


def _solve_loop(text: str) -> Solution | None:
    pattern = r"for i in range\((\d+), (\d+), (\d+)\):\n    total \+= i \* (\d+)\nprint"
    found = re.search(pattern, text)
    if not found:
        return None
    start, stop, step, factor = map(int, found.groups())
    turns = range(start, stop, step)
    return str(sum(i * factor for i in turns)), _graded(len(turns) + factor, 3, 19)


def _ask_slice(rng: random.Random, level: float) -> str:
    word = "".join(rng.sample(_NOUNS, 1 + round(level)))
    start = rng.randint(0, 2)
    picked = f"{start}:{rng.randint(start + 3, len(word))}:{rng.randint(1, 1 + round(2 * level))}"
    backwards = "[::-1]" * round(level)
    asked = ("What does this line print?", "Which text appears when this runs?", "Output?")
    return f'{rng.choice(asked)}\n```python\nprint("{word}"[{picked}]{backwards})\n```'


def _solve_slice(text: str) -> Solution | None:
    found = re.search(r'print\("([a-z]+)"\[(\d+):(\d+):(\d+)\](\[::-1\])?\)', text)
    if not found:
        return None
    word, start, stop, step = found[1], int(found[2]), int(found[3]), int(found[4])
    picked = word[start:stop:step]
    hard = 0.3 * (step > 1) + 0.3 * (found[5] is not None) + 0.4 * _graded(len(word), 5, 14)
    return picked[::-1] if found[5] else picked, hard


KINDS = (
    TaskKind("arithmetic", "maths", _ask_arithmetic, _solve_arithmetic),
    TaskKind("units", "maths", _ask_units, _solve_units),
    TaskKind("dates", "support", _ask_dates, _solve_dates),
    TaskKind("counting", "support", _ask_counting, _solve_counting),
    TaskKind("topic", "support", _ask_topic, _solve_topic),
    TaskKind("field", "extraction", _ask_field, _solve_field),
    TaskKind("sorting", "extraction", _ask_sorting, _solve_sorting),
    TaskKind("translation", "translation", _ask_translation, _solve_translation),
    TaskKind("loop", "coding", _ask_loop, _solve_loop),
    TaskKind("slice", "coding", _ask_slice, _solve_slice),
)
