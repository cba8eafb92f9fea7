"""The sandbox end to end: as accurate as it says, repeatable, labelled, and worth routing."""

import itertools
import math
import random
from functools import partial
from pathlib import Path

import openai
import pytest

from policy.types import Arm
from upstream.catalogue import load
from upstream.client import Upstream
from upstream.sandbox import MODELS, expected, sandbox_responder, serve_sandbox
from upstream.tasks import is_right, tasks
from upstream.tokens import count, count_messages
from upstream.watch import CatalogueFile

ROOT = Path(__file__).parents[2]
CATALOGUE = load(ROOT / "data" / "arms.toml")
NEW_ARM = """
[arm.new]
provider = "global"
model = "vendor/new"
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.2
context_window = 1000
"""
SAMPLE = list(itertools.islice(tasks(random.Random(11)), 1200))
GPT = "openai/gpt-4o"
PRO = "deepseek-ai/DeepSeek-V4-Pro"


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def accuracy(model: str, kind: str | None = None) -> float:
    return mean(expected(task, model) for task in SAMPLE if kind in (None, task.kind))


def dollars(arm: Arm, n: int = 400) -> float:
    respond = sandbox_responder()
    replies = [respond(arm.model, {"messages": list(task.messages)}) for task in SAMPLE[:n]]
    return mean(arm.cost_usd(reply.input_tokens, reply.output_tokens) for reply in replies)


@pytest.mark.parametrize(
    ("model", "about"),
    [
        (GPT, 0.90),
        (PRO, 0.88),
        ("deepseek-ai/DeepSeek-V4-Flash", 0.80),
        ("Qwen/Qwen3-32B", 0.76),
        ("zhipuai/GLM-4-Plus", 0.74),
    ],
)
def test_the_models_are_as_good_overall_as_documented(model: str, about: float) -> None:
    assert accuracy(model) == pytest.approx(about, abs=0.02)


def test_the_best_model_is_beaten_by_each_cheaper_one_somewhere() -> None:
    kinds = {task.kind for task in SAMPLE}
    for model in MODELS.keys() - {GPT, "deepseek-ai/DeepSeek-V4-Flash"}:
        assert any(accuracy(model, kind) > accuracy(GPT, kind) for kind in kinds), model
    easy = [task for task in SAMPLE if task.difficulty < 0.2]
    flash = "deepseek-ai/DeepSeek-V4-Flash"
    assert mean(expected(task, flash) for task in easy) > mean(expected(t, GPT) for t in easy)


def test_choosing_well_beats_the_best_model_at_under_half_its_cost() -> None:
    assert mean(max(expected(task, model) for model in MODELS) for task in SAMPLE) > 0.95
    arms = {arm.model: arm for arm in CATALOGUE.arms.values() if arm.tier == "standard"}
    cost = {model: dollars(arm) for model, arm in arms.items()}
    best = {
        kind: max(MODELS.keys() - {GPT}, key=lambda model: accuracy(model, kind))
        for kind in {task.kind for task in SAMPLE}
    }
    assert mean(expected(task, best[task.kind]) for task in SAMPLE) > accuracy(GPT) + 0.03
    assert mean(cost[best[task.kind]] for task in SAMPLE) < 0.5 * cost[GPT]


@pytest.mark.parametrize("model", MODELS)
def test_answers_are_right_as_often_as_expected_says(model: str) -> None:
    respond = sandbox_responder(seed=3)
    right = [
        is_right(task, respond(model, {"messages": list(task.messages)}).text) for task in SAMPLE
    ]
    chances = [expected(task, model) for task in SAMPLE]
    spread = math.sqrt(sum(p * (1 - p) for p in chances))
    assert abs(sum(right) - sum(chances)) < 4 * spread


def test_answers_are_repeatable_and_another_seed_draws_anew() -> None:
    def texts(seed: int) -> list[str]:
        respond = sandbox_responder(seed=seed)
        return [respond(GPT, {"messages": list(task.messages)}).text for task in SAMPLE[:200]]

    assert texts(0) == texts(0)
    assert texts(0) != texts(1)


def test_models_err_independently_of_each_other() -> None:
    respond = sandbox_responder()
    right = {
        model: [is_right(t, respond(model, {"messages": [*t.messages]}).text) for t in SAMPLE]
        for model in (GPT, PRO)
    }
    both = mean(a and b for a, b in zip(right[GPT], right[PRO], strict=True))
    chance = mean(expected(task, GPT) * expected(task, PRO) for task in SAMPLE)
    assert both == pytest.approx(chance, abs=4 * 0.5 / math.sqrt(len(SAMPLE)))


def test_thinking_models_talk_more_and_tokens_are_counted_by_one_rule() -> None:
    respond = sandbox_responder()
    body = {"messages": list(SAMPLE[0].messages)}
    pro, flash = respond(PRO, body), respond("deepseek-ai/DeepSeek-V4-Flash", body)
    assert pro.output_tokens > 2 * flash.output_tokens
    assert pro.output_tokens == count(pro.text)
    assert pro.input_tokens == count_messages(body["messages"])


def test_tokens_are_about_four_characters() -> None:
    text = "\n".join(task.prompt for task in SAMPLE)
    assert 3.5 < len(text) / count(text) < 4.5


def test_the_economy_tier_is_the_same_model_but_slower() -> None:
    respond = sandbox_responder(latency_s=0.01)
    body = {"messages": list(SAMPLE[0].messages)}
    standard, economy = respond(PRO, body), respond(PRO, {**body, "service_tier": "flex"})
    assert standard.text == economy.text
    assert economy.latency_s == 4 * standard.latency_s


@pytest.mark.parametrize(
    "content", ["Tell me a story.", None, [{"type": "text", "text": "Hello"}], [], "\ud800"]
)
def test_any_other_prompt_gets_a_labelled_answer(content) -> None:
    reply = sandbox_responder()(GPT, {"messages": [{"role": "user", "content": content}]})
    assert reply.text.startswith("This is the sandbox: openai/gpt-4o was not asked.")


@pytest.mark.parametrize("messages", [[], ["hi"], [None]])
def test_messages_that_are_none_still_get_an_answer(messages) -> None:
    assert "sandbox" in sandbox_responder()(GPT, {"messages": messages}).text


def test_a_model_nobody_knows_is_played_as_a_middling_one() -> None:
    assert mean(expected(task, "vendor/new") for task in SAMPLE) == pytest.approx(0.75, abs=0.02)


def test_the_real_client_gets_the_same_answer_whole_and_streamed() -> None:
    with serve_sandbox(lambda: CATALOGUE, latency_s=0) as sandbox:
        moved = CATALOGUE.served_at(sandbox.url)
        with Upstream(lambda: moved, {}) as upstream:
            for arm, task in zip(moved.arms.values(), SAMPLE, strict=False):
                body = {"messages": list(task.messages)}
                answer = upstream.answer(arm, body)
                with upstream.stream(arm, body) as stream:
                    text = "".join(chunk.text for chunk in stream)
                assert text == answer.text
                assert (stream.usage, stream.model) == (answer.usage, arm.model)
                assert not answer.usage.estimated
                assert answer.data["system_fingerprint"] == "sandbox"


def test_a_model_that_is_added_to_the_file_is_answered_for_at_once(tmp_path: Path) -> None:
    path = tmp_path / "arms.toml"
    path.write_text((ROOT / "data" / "arms.toml").read_text())
    file = CatalogueFile(path, look_every_s=0.0)
    with (
        serve_sandbox(file.current, latency_s=0) as sandbox,
        openai.OpenAI(base_url=sandbox.url, api_key="none", max_retries=0) as client,
    ):
        ask = partial(client.chat.completions.create, messages=[{"role": "user", "content": "hi"}])
        with pytest.raises(openai.NotFoundError, match="no model 'vendor/new'"):
            ask(model="vendor/new")
        with path.open("a") as end:
            end.write(NEW_ARM)
        assert ask(model="vendor/new").model == "vendor/new"
        assert ask(model=GPT).model == GPT


def test_the_official_client_parses_what_the_sandbox_says() -> None:
    with (
        serve_sandbox(lambda: CATALOGUE) as sandbox,
        openai.OpenAI(base_url=sandbox.url, api_key="none", max_retries=0) as client,
    ):
        raw = client.chat.completions.with_raw_response.create(
            model=GPT, messages=[{"role": "user", "content": "What is 2 + 3?"}]
        )
        assert raw.headers["x-sandbox"] == "true"
        assert raw.parse().choices[0].message.content.splitlines()[-1].startswith("Answer: ")
        assert len(list(client.models.list())) == 5
