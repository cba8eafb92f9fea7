"""Which model answered: versions and spellings of one name are one model, and nothing else is."""

import pytest

from policy.types import Arm
from upstream.naming import answering, is_same_model

SAME = [
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("openai/gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4", "gpt-4-0613"),
    ("claude-3-5-sonnet", "anthropic/claude-3-5-sonnet-20241022"),
    ("claude-3-5-sonnet", "anthropic.x/claude-3-5-sonnet-20241022-v2"),
    ("gemini-2.0-flash", "gemini-2.0-flash-001"),
    ("mistral-large-latest", "mistral-large"),
    ("llama3", "llama3:latest"),
    ("Qwen/Qwen3-32B", "qwen3-32b"),
]
OTHER = [
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4o", "gpt-4o-mini-2024-07-18"),
    ("gpt-4", "gpt-4.1"),
    ("gpt-4", "gpt-4o"),
    ("claude-3", "claude-3-5"),
    ("deepseek-ai/DeepSeek-V4-Pro", "deepseek-ai/DeepSeek-V4-Flash"),
    ("vendor/small", "vendor/large"),
]


@pytest.mark.parametrize(("asked", "answered"), SAME)
def test_a_version_of_a_name_is_the_same_model(asked: str, answered: str) -> None:
    assert is_same_model(asked, answered)
    assert is_same_model(answered, asked)


@pytest.mark.parametrize(("asked", "answered"), OTHER)
def test_another_name_is_another_model(asked: str, answered: str) -> None:
    assert not is_same_model(asked, answered)
    assert not is_same_model(answered, asked)


def arm(name: str, model: str, **more: object) -> Arm:
    return Arm(name, str(more.pop("provider", "p")), model, 1.0, 2.0, 8_000, **more)


def test_the_arm_of_the_model_that_answered_is_found() -> None:
    asked = arm("flex", "v/small", tier="economy")
    elsewhere = arm("elsewhere", "v/large", provider="q", tier="economy")
    dear, cheap = arm("dear", "v/large"), arm("cheap", "v/large", tier="economy")
    every = [asked, elsewhere, dear, cheap]
    assert answering(asked, "v/small", every) is asked
    assert answering(asked, "large-2025-01-01", every) is cheap
    assert answering(asked, "large", [asked, elsewhere, dear]) is dear
    assert answering(asked, "v/unheard-of", every) is None


def test_a_name_that_the_catalogue_gives_is_the_same_model() -> None:
    asked = arm("a", "deepseek-chat", answers_as=("DeepSeek-V3",))
    other = arm("b", "deepseek-v3")
    assert answering(asked, "deepseek/DeepSeek-V3-0324", [asked, other]) is asked
