"""Each kind of task is solved as something independent solves it."""

import datetime
import random
import re
from collections import Counter

import pytest

from upstream.kinds import KINDS
from upstream.wording import CLOSINGS, EARLIER_TURNS, GREETINGS, PARAGRAPHS

BY_NAME = {kind.name: kind for kind in KINDS}
N = 150


def asked(name: str):
    """Yield questions of one kind with our answer to each, and check that each grade is one."""
    rng = random.Random(5)
    for _ in range(N):
        question = BY_NAME[name].ask(rng, rng.random())
        solution = BY_NAME[name].solve(question)
        assert solution is not None, question
        assert 0 <= solution[1] <= 1
        yield question, solution[0]


def test_arithmetic_is_what_python_computes() -> None:
    for question, answer in asked("arithmetic"):
        expression = re.search(r"\d+( [-+*] \d+)+", question)
        assert expression is not None
        assert answer == str(eval(expression[0]))


def test_code_does_what_python_does(capsys) -> None:
    for name in ("loop", "slice"):
        for question, answer in asked(name):
            code = re.search(r"```python\n(.*)\n```", question, re.DOTALL)
            assert code is not None
            exec(code[1], {})
            assert capsys.readouterr().out == f"{answer}\n"


def test_units_agree_with_their_seconds_grams_and_metres() -> None:
    size = {
        "km": 1000, "m": 1, "kg": 1000, "g": 1, "litres": 1, "ml": 0.001, "minutes": 60,
        "hours": 3600, "days": 86400, "weeks": 604800, "fortnights": 1209600, "dozen": 12,
        "pieces": 1, "feet": 12, "inches": 1, "miles": 63360, "pounds": 16, "ounces": 1,
    }  # fmt: skip
    for question, answer in asked("units"):
        found = re.search(r"(\d+) (\w+)", question)
        assert found is not None
        unit = re.findall(rf"\b({'|'.join(size)})\b", question)[-1]
        assert int(answer) == pytest.approx(int(found[1]) * size[found[2]] / size[unit])


def test_dates_are_as_many_days_apart_as_asked() -> None:
    for question, answer in asked("dates"):
        start = re.search(r"\d{4}-\d\d-\d\d", question)
        assert start is not None
        end = datetime.date.fromisoformat(answer)
        between = end - datetime.date.fromisoformat(start[0])
        assert f"{between.days} days" in question


def test_counts_are_a_counters() -> None:
    for question, answer in asked("counting"):
        wanted = re.findall(r'"(\w+)"', question)[0]
        assert answer == str(Counter(question.rpartition(":")[2].strip(" .").split())[wanted])


def test_sorted_words_are_the_same_words_in_order() -> None:
    for question, answer in asked("sorting"):
        words = answer.split(", ")
        assert words == sorted(words)
        assert set(words) == set(question.rpartition(": ")[2].strip(".").split(", "))


def test_fields_are_those_of_the_record() -> None:
    for question, answer in asked("field"):
        name = question.partition(" the ")[2].partition(" in ")[0]
        assert f"\n{name}: {answer}" in question


def test_translations_go_word_by_word() -> None:
    assert BY_NAME["translation"].solve("into French: house, three, water.") == (
        "maison, trois, eau",
        1 / 3,
    )
    for question, answer in asked("translation"):
        assert answer.count(",") == question.rpartition(": ")[2].count(",")


def test_topics_are_those_of_most_sentences() -> None:
    solve = BY_NAME["topic"].solve
    ask = 'Sort into billing, delivery, login or cancellation, one word. Message: "{}"'
    mixed = "The parcel is lost. I was charged twice. My payment was rejected."
    assert solve(ask.format(mixed)) == ("billing", 1.0)
    assert solve(ask.format("I am locked out.")) == ("login", 0.2)
    assert {answer for _, answer in asked("topic")} == {
        "billing", "delivery", "login", "cancellation",
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_harder_levels_are_graded_harder(kind) -> None:
    rng = random.Random(2)

    def grade(level: float) -> float:
        solutions = [kind.solve(kind.ask(rng, level)) for _ in range(N)]
        return sum(solution[1] for solution in solutions) / N

    assert grade(0.0) < grade(1.0) - 0.2


def test_the_words_around_a_task_look_like_no_task() -> None:
    texts = [*GREETINGS, *CLOSINGS, *(said for pair in EARLIER_TURNS for said in pair)]
    texts += [sentence for pool in PARAGRAPHS.values() for sentence in pool]
    assert [text for text in texts for kind in KINDS if kind.solve(text)] == []
    assert {kind.tag for kind in KINDS} == set(PARAGRAPHS)
