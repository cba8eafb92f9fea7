"""How long one decision takes, part by part: median and 99th percentile on this machine."""

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from features.fit import fit
from features.prompt import Prompt
from features.sketch import Sketch
from jobs.learned import Learned
from policy.decide import Question, decide, seeded
from policy.eligibility import Demand
from policy.hyper import Hyper
from policy.thompson import Thompson
from policy.tokens import expected_cost_usd, expected_output_tokens
from policy.types import Arm

ARMS = 5
LEARNED = 500
WORDS = (20, 100, 1_000)
VOCABULARY = 3_000
PROMPTS = 200
WILLING_USD = 0.02


def measure(rounds: int) -> Iterator[str]:
    """Yield the lines of a table: every part of a decision and all of it, per prompt length."""
    rng = np.random.default_rng(0)
    prompts = {words: [_prompt(rng, words) for _ in range(PROMPTS)] for words in WORDS}
    learned, arms = _learned(rng, prompts[WORDS[1]]), _arms()
    yield f"{ARMS} arms, {len(learned.beliefs.quality.prior.groups)} features, {rounds} rounds"
    yield ""
    yield "| words | part | median us | p99 us |"
    yield "|--:|---|--:|--:|"
    for words, texts in prompts.items():
        laps = [_timed(learned, arms, texts[i % PROMPTS], str(i)) for i in range(rounds)]
        for part in laps[0]:
            middle, slow = np.percentile([lap[part] for lap in laps], [50, 99]) * 1e6
            yield f"| {words} | {part} | {middle:.0f} | {slow:.0f} |"


def _timed(learned: Learned, arms: list[Arm], text: str, identity: str) -> dict[str, float]:
    """Return the seconds of each part; the total is timed whole, its parts once more each."""
    beliefs, rng, names = learned.beliefs, seeded(identity), tuple(arm.name for arm in arms)
    start = perf_counter()
    prompt = Prompt.of([{"role": "user", "content": text}])
    sketch = Sketch.of(prompt)
    sketched = perf_counter()
    context = learned.space.context(sketch)
    encoded = perf_counter()
    question = Question(context, Demand(prompt.input_tokens), WILLING_USD, words=prompt.words)
    decide(arms, question, beliefs, seeded(identity))
    decided = perf_counter()
    beliefs.quality.predict(context, names)
    tokens = expected_output_tokens(beliefs.tokens, context, names)
    cost_usd = expected_cost_usd(arms, prompt.input_tokens, tokens)
    predicted = perf_counter()
    offer = beliefs.offer(context, names, cost_usd, WILLING_USD)
    Thompson(beliefs.quality, beliefs.hyper).propensities(offer, rng)
    return {
        "sketch": sketched - start,
        "context": encoded - sketched,
        "decide": decided - encoded,
        "of it predict and cost": predicted - decided,
        "of it draws": perf_counter() - predicted,
        "total": decided - start,
    }


def _learned(rng: np.random.Generator, texts: list[str]) -> Learned:
    """Return what 500 random outcomes teach, in a space fitted to these texts."""
    sketches = [Sketch.of(Prompt.of([{"role": "user", "content": text}])) for text in texts]
    learned = Learned.under(1, fit(sketches, 1), Hyper())
    quality, tokens = learned.beliefs.quality, learned.beliefs.tokens
    for i in range(LEARNED):
        context = learned.space.context(sketches[i % len(sketches)])
        arm = f"arm{i % ARMS}"
        quality = quality.update(arm, context, float(rng.random()))
        tokens = tokens.update(arm, context, float(rng.normal(5.5, 0.5)))
    beliefs = learned.beliefs
    return Learned(
        0, 1, learned.space, type(beliefs)(quality=quality, tokens=tokens, hyper=beliefs.hyper)
    )


def _arms() -> list[Arm]:
    return [
        Arm(f"arm{i}", "p", f"m{i}", 0.1 * (i + 1), 0.4 * (i + 1), context_window=128_000)
        for i in range(ARMS)
    ]


def _prompt(rng: np.random.Generator, words: int) -> str:
    """Return random words of a vocabulary with Zipf's frequencies."""
    ranks = np.minimum(rng.zipf(1.3, size=words), VOCABULARY)
    return " ".join(f"w{_spelt(int(rank))}" for rank in ranks)


def _spelt(rank: int) -> str:
    letters = "etaoinshrdlu"
    return "".join(letters[(rank // 12**place) % 12] for place in range(3 + rank % 4))
