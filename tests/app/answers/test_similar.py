"""The same question in other words, over the whole service: without a model, and with one."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.answers.similar import UNRELATED
from app.keys.holder import ANYBODY
from app.routing.ask import Ask
from policy.errors import CallerGone, ConfigError
from tests.app.faulty import good
from tests.app.running import Running, catalogue, running
from tests.upstream.misbehaving import Conversation, misbehaving
from upstream.deadlines import AWAITED

FRANCE = "What is the capital of France?"
POLITE = "Hi! Could you tell me the capital of France, please?"
BLUE = "Why is the sky blue?"
AZURE = "Why is the sky so very blue?"
BLUE_ASKED = [{"role": "user", "content": BLUE}]
DIRECTIONS: Mapping[str, list[float]] = {BLUE: [1.0, 0.0, 0.0], AZURE: [1.0, 0.1, 0.0]}


@dataclass
class Model:
    """A model of embeddings: known texts by their direction, every other text by its own."""

    asked: list[str] = field(default_factory=list)
    works: bool = True
    tells_apart: bool = True
    is_steady: bool = True
    leaves: threading.Event | None = None

    def answer(self, talk: Conversation) -> None:
        text = talk.body["input"]
        self.asked.append(text)
        if self.leaves is not None:
            self.leaves.set()
            time.sleep(1.0)
        if not self.works:
            talk.reply(b'{"error": {"message": "down"}}', "500 Internal Server Error")
            return
        own = [0.0, 1.0, 1.0 + len(self.asked)] if self.tells_apart else [1.0, 0.0, 0.0]
        vector = DIRECTIONS.get(text, own if len(self.asked) % 2 else [1.0, -1.0, 0.0])
        direction = vector if self.tells_apart else [1.0, 0.0, 0.0]
        more = [0.0] * (0 if self.is_steady else len(self.asked))
        talk.reply(json.dumps({"data": [{"embedding": direction + more}]}).encode())


@contextmanager
def service(folder: Path, model: Model | None = None, **dials: object) -> Iterator[Running]:
    model_of = Model() if model is None else model
    with misbehaving({"a": good, "e": model_of.answer}) as (url, _):
        path = catalogue(folder, url, {"a": {}})
        text = path.read_text().replace("[arm.a]", 'passes_on = ["embeddings"]\n[arm.a]')
        path.write_text(text)
        asked = {} if model is None else {"cache_embeddings": "e"}
        with running(folder, arms=path, sandbox="off", cache="semantic", **asked, **dials) as made:
            yield made


def used(made: Running, *prompts: str) -> list[str]:
    return [made.ask(prompt, explore=False)["cache"] for prompt in prompts]


def test_courtesies_make_no_difference(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        assert used(made, FRANCE, POLITE) == ["miss", "hit"]


@pytest.mark.parametrize(
    "other",
    [
        "What is the capital of Spain?",
        "What was the capital of France?",
        "capital of France in 1940",
    ],
)
def test_another_question_is_another_question(tmp_path: Path, other: str) -> None:
    with service(tmp_path) as made:
        assert used(made, FRANCE, other) == ["miss", "miss"]


def test_what_else_is_asked_must_be_the_same(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        made.ask(FRANCE)
        assert made.ask(POLITE, temperature=0.5)["cache"] == "miss"
        assert made.ask(POLITE, task="support")["cache"] == "miss"
        assert made.ask(POLITE)["cache"] == "hit"


def test_the_index_is_there_after_a_restart(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        used(made, FRANCE)
    with service(tmp_path) as made:
        assert used(made, POLITE) == ["hit"]


def test_a_thumbs_down_on_a_hit_in_other_words_evicts(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        made.ask(FRANCE)
        made.rate(made.ask(POLITE)["id"], "down")
        assert used(made, POLITE, FRANCE) == ["miss", "hit"]


def test_what_was_cleared_is_not_found_in_other_words(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        made.ask(FRANCE)
        made.client.delete("/cache")
        assert used(made, POLITE) == ["miss"]


def test_without_the_setting_only_the_same_request_will_do(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        made.ask(FRANCE)
    with misbehaving({"a": good}) as (url, _):
        path = catalogue(tmp_path, url, {"a": {}})
        with running(tmp_path, arms=path, sandbox="off", cache="exact") as made:
            assert used(made, FRANCE, POLITE) == ["hit", "miss"]


def test_a_model_finds_more_and_the_limits_hold_all_the_same(tmp_path: Path) -> None:
    model = Model()
    with service(tmp_path, model) as made:
        assert used(made, BLUE, AZURE, "Why is the sky not blue?") == ["miss", "hit", "miss"]
        assert AZURE in model.asked
        assert [model.asked.count(text) for text in UNRELATED] == [1, 1]


def test_what_a_model_said_outlives_the_service(tmp_path: Path) -> None:
    with service(tmp_path, Model()) as made:
        used(made, BLUE)
    with service(tmp_path, Model()) as made:
        assert used(made, AZURE) == ["hit"]


def test_a_model_that_is_down_is_left_alone_and_nothing_else_changes(tmp_path: Path) -> None:
    model = Model(works=False)
    with service(tmp_path, model) as made:
        assert used(made, FRANCE, POLITE, BLUE, AZURE) == ["miss", "hit", "miss", "miss"]
        assert len(model.asked) == 1


@pytest.mark.parametrize("model", [Model(tells_apart=False), Model(is_steady=False)])
def test_a_model_that_finds_everything_alike_or_cannot_be_compared_is_not_trusted(
    tmp_path: Path, model: Model
) -> None:
    with service(tmp_path, model) as made:
        assert used(made, BLUE, AZURE) == ["miss", "miss"]
        assert len(model.asked) == 2


def test_a_threshold_below_the_floor_stops_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="CACHE_SIMILARITY is '?0.5"),
        service(tmp_path, cache_similarity=0.5),
    ):
        pass


def test_a_model_without_the_semantic_cache_would_do_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="nothing would be compared"),
        running(tmp_path, cache="exact", cache_embeddings="e"),
    ):
        pass


def test_a_caller_who_leaves_while_questions_are_compared_keeps_nobody_waiting(
    tmp_path: Path,
) -> None:
    model = Model()
    with service(tmp_path, model) as made:
        assert used(made, FRANCE) == ["miss"]
        router, ask = made.parts.router, Ask(messages=BLUE_ASKED, explore=False)
        model.leaves = threading.Event()
        left = AWAITED.set(lambda: not model.leaves.is_set())
        with pytest.raises(CallerGone):
            router.complete(ask, ANYBODY)
        AWAITED.reset(left)
        assert not made.parts.cache.flights._under_way
        model.leaves = None
        assert used(made, BLUE) == ["miss"]
