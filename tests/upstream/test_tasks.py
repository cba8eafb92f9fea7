"""Tasks look like traffic, can be recovered from their text, and are judged rightly."""

import itertools
import random

import pytest

from upstream.kinds import KINDS
from upstream.tasks import Task, corrupted, is_right, recovered, tasks

SAMPLE = list(itertools.islice(tasks(random.Random(1)), 1500))


def test_a_task_is_recovered_from_its_prompt_alone() -> None:
    for task in SAMPLE:
        found = recovered(task.prompt)
        assert found is not None
        assert (found.kind, found.answer, found.task_tag, found.difficulty) == (
            task.kind,
            task.answer,
            task.task_tag,
            task.difficulty,
        )


def test_tasks_are_of_every_kind_and_length_and_some_have_a_history() -> None:
    assert {task.kind for task in SAMPLE} == {kind.name for kind in KINDS}
    words = sorted(len(task.prompt.split()) for task in SAMPLE)
    assert words[0] < 15
    assert words[-1] > 600
    assert words[len(words) // 2] > 40
    assert 0.2 < sum(len(task.messages) > 1 for task in SAMPLE) / len(SAMPLE) < 0.8
    assert len({task.prompt for task in SAMPLE}) > 0.99 * len(SAMPLE)


def test_the_same_seed_gives_the_same_tasks() -> None:
    assert list(itertools.islice(tasks(random.Random(1)), 20)) == SAMPLE[:20]


def test_a_right_answer_is_right_and_a_corrupted_one_is_not() -> None:
    for seed, task in enumerate(SAMPLE):
        assert is_right(task, f"Let me see.\nAnswer: {task.answer}")
        wrong = corrupted(task.answer, random.Random(seed))
        assert not is_right(task, f"Let me see.\nAnswer: {wrong}")


TASK = Task(({"role": "user", "content": "q"},), "maths", "Apple, fig", "sorting", 0.0)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Answer: apple, FIG.\n", True),
        ("Answer:apple, fig", True),
        ("Answer: apple, fig\nHope that helps", False),
        ("apple, fig", False),
        ("Answer: fig, apple", False),
        ("", False),
    ],
)
def test_only_the_answer_on_the_last_line_counts(text: str, right: bool) -> None:
    assert is_right(TASK, text) is right


def test_an_ordinary_prompt_is_no_task() -> None:
    assert recovered("Write a poem about the sea, in 3 stanzas.") is None
