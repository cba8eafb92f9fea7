"""What a thumb does to an answer that is given again."""

import threading
import time
from pathlib import Path

import pytest

from policy.types import HOUR_S
from storage.stores import open_log
from tests.app.answers.test_cache import USE, quality, since_start
from tests.app.faulty import faulty, good
from tests.app.keyed import Keyed
from tests.app.routing.test_answering import events
from tests.upstream.misbehaving import Conversation, chunk


def test_a_thumb_on_a_hit_credits_no_arm(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
        before = quality(made.service)
        assert made.service.rate(made.service.ask(**USE)["id"])["status"] == "recorded"
        assert quality(made.service) == before


@pytest.mark.parametrize("which", [0, 1], ids=["the answer", "the hit"])
def test_a_thumbs_down_on_the_answer_or_on_a_hit_of_it_evicts(tmp_path: Path, which: int) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        ids = [made.service.ask(**USE)["id"], made.service.ask(**USE)["id"]]
        made.service.rate(ids[which], "up")
        assert made.service.ask(**USE)["cache"] == "hit"
        made.service.rate(ids[which], "down")
        assert made.service.ask(**USE)["cache"] == "miss"
        assert since_start(made.service)["evicted"] == 1


def test_the_thumbs_down_of_a_tenant_evicts_its_answer_and_no_other(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        shop, site = Keyed(made.service, "shop"), Keyed(made.service, "site")
        disliked, _ = (each.ask(**USE)["id"] for each in (shop, site))
        assert shop.post("/feedback", {"id": disliked, "thumbs": "down"}).status_code == 200
        assert [each.ask(**USE)["cache"] for each in (shop, site)] == ["miss", "hit"]


def test_an_answer_that_is_disliked_while_it_streams_is_not_kept(tmp_path: Path) -> None:
    disliked = threading.Event()

    def slow(talk: Conversation) -> None:
        talk.events(chunk("Once "))
        disliked.wait(20.0)
        talk.events(chunk("upon a time", finish="stop"), b"[DONE]")

    with faulty(tmp_path, {"a": slow}) as made:
        told = made.service.post("/complete", {**USE, "stream": True})
        made.service.rate(made.decisions[0].decision.id, "down")
        disliked.set()
        assert events(told)[-1] == "[DONE]"
        assert made.service.get("/policy")["cache"]["answers"] == 0


def test_a_thumb_that_came_meanwhile_from_a_slower_clock_evicts_at_the_next_start(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        disliked = made.service.ask(**USE)["id"]
    with open_log(tmp_path / "turnpike.db") as log:
        log.rate(disliked, "ann", 0.0, at_s=time.time() - 30, tenant=None, window_s=HOUR_S)
    with faulty(tmp_path, {"a": good}) as made:
        assert made.service.ask(**USE)["cache"] == "miss"


def test_a_thumb_on_a_hit_is_nothing_to_retrain_on(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.rate(made.service.ask(**USE)["id"])
        made.service.rate(made.service.ask(**USE)["id"])
        counts = made.service.parts.log.counts()
        assert (counts.rated, counts.feedback_since_retrain) == (1, 1)
