"""A made-up table: four topics told by their words, three arms, each the best at something.

Its scores are the true probabilities of a thumbs-up, so the value of any policy on it is known.
"""

import numpy as np

from bench.tables import Table
from policy.types import Arm, Floats

NAME = "synthetic"
PROMPTS = 2_000
WORDS_OF_A_TOPIC, WORDS_OF_ALL = 40, 120
LIKELY = np.array(
    [
        [0.86, 0.78, 0.74],
        [0.70, 0.84, 0.78],
        [0.76, 0.72, 0.84],
        [0.80, 0.82, 0.68],
    ]
)
"""The probability of a thumbs-up by topic and arm."""
HARDER = 0.1
"""The longest prompts are this much less likely to be answered well, whoever answers."""


def synthetic() -> Table:
    """Return the table; the same each time."""
    rng = np.random.default_rng(0)
    topic, words = rng.integers(4, size=PROMPTS), rng.integers(8, 40, size=PROMPTS)
    prompts = tuple(_prompt(rng, *each) for each in zip(topic, words, strict=True))
    scores: Floats = LIKELY[topic] - HARDER * (words[:, None] / 40)
    tokens = rng.integers(50, 400, size=(PROMPTS, 3))
    prices = np.array([0.4, 2.0, 8.0])
    return Table(
        name=NAME,
        arms=tuple(Arm(f"arm{i}", "replay", f"m{i}", 0.0, prices[i], 1 << 40) for i in range(3)),
        prompts=prompts,
        tasks=(None,) * PROMPTS,
        scores=scores,
        cost_usd=tokens * prices / 1e6,
        input_tokens=np.zeros(PROMPTS, np.int64),
        output_tokens=tokens,
    )


def _prompt(rng: np.random.Generator, topic: int, words: int) -> str:
    """Return words of which every other is of the topic."""
    own = [f"{_spelt(topic * WORDS_OF_A_TOPIC + i)}" for i in range(WORDS_OF_A_TOPIC)]
    common = [_spelt(4 * WORDS_OF_A_TOPIC + i) for i in range(WORDS_OF_ALL)]
    drawn = [str(rng.choice(own if i % 2 else common)) for i in range(words)]
    return " ".join(drawn).capitalize() + "."


def _spelt(number: int) -> str:
    consonants, vowels = "bdfgklmnprst", "aeiou"
    letters = [
        consonants[number % 12],
        vowels[number // 12 % 5],
        consonants[(number // 7) % 12],
        vowels[number // 60 % 5],
    ]
    return "".join(letters) + consonants[number % 11]
