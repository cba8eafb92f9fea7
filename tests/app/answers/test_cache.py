"""Answers that are given again, over the whole service: what the client sees and the log keeps."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from storage.snapshots import digest
from tests.app.faulty import Faulty, broken, faulty, filtered, good, refusing
from tests.app.routing.test_answering import cut, events
from tests.app.running import BESIDE, Provider, Running, eventually, running
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion

USE = {"prompt": "What is the capital of France?", "cache": "use", "explore": False}


def quality(service: Running) -> str:
    arrays = service.learned.to_arrays()
    return digest(
        {name: array for name, array in arrays.items() if name.startswith(("rated/", "tokens/"))}
    )


def since_start(service: Running) -> Any:
    return service.get("/policy")["cache"]["since_start"]


def test_the_same_request_is_answered_again_for_nothing(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        first, second = made.service.ask(**USE), made.service.ask(**USE)
        assert made.asked == ["a"]
        assert (first["cache"], second["cache"]) == ("miss", "hit")
        assert second["id"] != first["id"]
        assert (second["text"], second["model"], second["arm"]) == ("hello", "m", "a")
        assert (second["finish_reason"], second["usage"]) == ("stop", first["usage"])
        assert (first["cost_usd"] > 0, second["cost_usd"], second["attempts"]) == (True, 0.0, 0)


def test_a_hit_is_a_decision_that_asked_nobody_and_taught_nothing(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        first = made.service.ask(**USE)
        before = quality(made.service)
        hit = made.service.ask(**USE)
        assert quality(made.service) == before
        round_ = made.decisions[1]
        assert (round_.decision.id, round_.decision.kind) == (hit["id"], "cached")
        assert (round_.decision.answer_of, round_.decision.propensity) == (first["id"], 1.0)
        assert round_.outcome is not None
        assert (round_.outcome.cache, round_.outcome.cost_usd) == ("hit", 0.0)
        assert round_.outcome.attempts == len(made.service.parts.log.attempts(hit["id"])) == 0
        told = made.service.get(f"/decisions/{hit['id']}")
        assert (told["kind"], told["answer_of"], told["arms"]) == ("cached", first["id"], [])
        assert made.service.get("/policy")["arms"][0]["requests"] == 1


OTHERS: dict[str, Mapping[str, Any]] = {
    "another wording": {"prompt": "What is the capital of Spain?"},
    "a system prompt": {
        "prompt": None,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    },
    "a parameter": {"temperature": 0.5},
    "the arms": {"models": ["a"]},
    "the price of a thumb": {"willingness_to_pay": 0.5},
    "the task": {"task": "support"},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_what_differs_in_anything_that_counts_is_another_request(
    tmp_path: Path, other: Mapping[str, Any]
) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
        asked = {name: value for name, value in {**USE, **other}.items() if value is not None}
        assert made.service.post("/complete", asked).json["cache"] == "miss"
        assert made.service.post("/complete", asked).json["cache"] == "hit"


def test_nothing_is_kept_unless_somebody_says_so(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        said = {name: value for name, value in USE.items() if name != "cache"}
        assert [made.service.ask(**said)["cache"] for _ in range(2)] == ["miss", "miss"]
        assert made.service.get("/policy")["cache"]["answers"] == 0


def test_the_service_may_cache_for_all_but_those_who_refuse(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}, cache="exact") as made:
        said = {name: value for name, value in USE.items() if name != "cache"}
        assert [made.service.ask(**said)["cache"] for _ in range(2)] == ["miss", "hit"]
        assert made.service.ask(**said, cache="off")["cache"] == "miss"


def test_a_cache_that_is_switched_off_keeps_nothing_of_what_it_held(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
    assert (tmp_path / BESIDE / "cache.db").exists()
    with faulty(tmp_path, {"a": good}, cache="off") as made:
        assert [made.service.ask(**USE)["cache"] for _ in range(2)] == ["miss", "miss"]
        assert list((tmp_path / BESIDE).glob("cache*")) == []


def test_an_answer_outlives_the_service(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
    with faulty(tmp_path, {"a": good}) as made:
        assert made.service.ask(**USE)["cache"] == "hit"
        assert made.asked == []


def test_refresh_asks_anew_and_keeps_the_new_answer(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
        fresh = made.service.ask(**{**USE, "cache": "refresh"})
        assert (fresh["cache"], len(made.asked)) == ("miss", 2)
        made.service.ask(**USE)
        assert made.decisions[-1].decision.answer_of == fresh["id"]


def test_the_answer_of_an_arm_that_is_gone_is_not_given_again(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
    with faulty(tmp_path, {"b": good}) as made:
        assert made.service.ask(**USE)["cache"] == "miss"


def calling(talk: Conversation) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk.reply(completion({"role": "assistant", "content": "x", "tool_calls": [call]}))


def cut_by_length(talk: Conversation) -> None:
    talk.reply(completion(finish="length"))


def painting(talk: Conversation) -> None:
    images = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    if talk.body.get("stream"):
        talk.events(chunk("See: "), chunk(delta={"images": images}, finish="stop"), b"[DONE]")
    else:
        talk.reply(completion({"role": "assistant", "content": "See: ", "images": images}))


def naming_sources(talk: Conversation) -> None:
    if talk.body.get("stream"):
        talk.events(chunk("See."), chunk(finish="stop", citations=["https://a.example"]), b"[DONE]")
    else:
        talk.reply(completion(citations=["https://a.example"]))


def citing(talk: Conversation) -> None:
    noted = {"annotations": [{"type": "url_citation", "url": "https://a.example"}]}
    if talk.body.get("stream"):
        talk.events(chunk("See."), chunk(finish="stop", delta=noted), b"[DONE]")
    else:
        talk.reply(completion({"role": "assistant", "content": "See.", **noted}))


UNFIT: dict[str, Scenario] = {
    "filtered": filtered, "cut by length": cut_by_length, "calls a tool": calling,
    "paints": painting, "names its sources": naming_sources, "cites": citing,
}  # fmt: skip


@pytest.mark.parametrize("scenario", UNFIT.values(), ids=UNFIT.keys())
def test_an_answer_that_is_not_whole_is_never_kept(tmp_path: Path, scenario: Scenario) -> None:
    with faulty(tmp_path, {"a": scenario}) as made:
        assert [made.service.ask(**USE)["cache"] for _ in range(2)] == ["miss", "miss"]
        assert made.service.get("/policy")["cache"]["answers"] == 0


def refusing_amid_a_stream(talk: Conversation) -> None:
    talk.events(chunk("Well, "), chunk(delta={"refusal": "no."}), chunk(finish="stop"), b"[DONE]")


@pytest.mark.parametrize("scenario", [refusing_amid_a_stream, painting, naming_sources, citing])
def test_a_stream_that_is_more_than_a_text_is_never_kept(
    tmp_path: Path, scenario: Scenario
) -> None:
    with faulty(tmp_path, {"a": scenario}) as made:
        for _ in range(2):
            told = events(made.service.post("/complete", {**USE, "stream": True}))
            assert (told[-2]["cache"], told[-1]) == ("miss", "[DONE]")
        assert made.service.get("/policy")["cache"]["answers"] == 0


def test_a_stream_that_breaks_is_never_kept(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut}) as made:
        for _ in range(2):
            told = events(made.service.post("/complete", {**USE, "stream": True}))
            assert told[-1] != "[DONE]"
        assert made.service.get("/policy")["cache"]["answers"] == 0
        assert len(made.asked) >= 2


@pytest.mark.parametrize("first", [False, True], ids=["plain first", "stream first"])
def test_a_stream_and_a_plain_answer_serve_each_other(
    tmp_path: Path, provider: Provider, first: bool
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        miss = service.post("/complete", {**USE, "stream": first})
        assert miss.headers["x-turnpike-cache"] == "miss"
        text = events(miss)[-2]["text"] if first else miss.json["text"]
        hit = service.post("/complete", {**USE, "stream": not first})
        assert hit.headers["x-turnpike-cache"] == "hit"
        answer = hit.json if first else events(hit)[-2]
        assert (answer["text"], answer["cache"], answer["cost_usd"]) == (text, "hit", 0.0)
        if not first:
            told = events(hit)
            assert "".join(each["text"] for each in told[1:-2]) == text
            assert (told[0]["id"], told[-1]) == (answer["id"], "[DONE]")


def test_identical_requests_at_the_same_time_make_one_call(tmp_path: Path) -> None:
    everybody = threading.Event()

    def waiting(talk: Conversation) -> None:
        everybody.wait(5)
        good(talk)

    with faulty(tmp_path, {"a": waiting}) as made:
        answers = _at_once(made, 12, everybody)
        assert sorted(answer["cache"] for answer in answers) == ["hit"] * 11 + ["miss"]
        assert len(made.asked) == 1


def test_those_who_waited_for_a_failure_ask_themselves(tmp_path: Path) -> None:
    calls: list[int] = []
    everybody = threading.Event()

    def failing_once(talk: Conversation) -> None:
        everybody.wait(5)
        calls.append(1)
        (broken if len(calls) == 1 else good)(talk)

    with faulty(tmp_path, {"a": failing_once}) as made:
        answers = _at_once(made, 4, everybody)
        assert sum("error" in answer for answer in answers) == 1
        assert [answer["text"] for answer in answers if "error" not in answer] == ["hello"] * 3


def _at_once(made: Faulty, n: int, everybody: threading.Event) -> list[Any]:
    """Return what n clients got who asked the same before the first was answered."""
    app, answers = made.service.client.application, []

    def ask() -> None:
        answers.append(app.test_client().post("/complete", json=USE).json)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(made.asked) == 1)
    everybody.set()
    for thread in threads:
        thread.join()
    return answers


def test_an_old_answer_stands_in_when_nobody_answers_and_is_called_stale(tmp_path: Path) -> None:
    health = [good]
    arms = {"a": lambda talk: health[0](talk), "b": lambda talk: health[0](talk)}
    with faulty(tmp_path, arms, cache_fresh_s=1e-6) as made:
        first = made.service.ask(**USE)
        health[0] = broken
        stale = made.service.ask(**USE)
        assert (stale["cache"], stale["text"], stale["cost_usd"]) == ("stale", "hello", 0.0)
        assert stale["attempts"] == 2
        last = made.decisions[-1]
        assert (last.decision.id, last.decision.answer_of) == (stale["id"], first["id"])
        assert last.decision.retry_of == made.decisions[-2].decision.id
        assert last.outcome is not None
        assert last.outcome.cache == "stale"
        told = events(made.service.post("/complete", {**USE, "stream": True}))
        assert (told[-2]["cache"], told[-2]["text"], told[-1]) == ("stale", "hello", "[DONE]")
        status, _ = made.service.refused("/complete", {**USE, "cache": "off"})
        assert status == 502


def test_a_request_that_is_wrong_stays_wrong(tmp_path: Path) -> None:
    health = [good]
    with faulty(tmp_path, {"a": lambda talk: health[0](talk)}, cache_fresh_s=1e-6) as made:
        made.service.ask(**USE)
        health[0] = refusing
        assert made.service.refused("/complete", USE)[0] == 400


def test_what_was_saved_is_told(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        cost_usd = made.service.ask(**USE)["cost_usd"]
        made.service.ask(**USE)
        made.service.ask(**USE)
        told = made.service.get("/policy")["cache"]
        assert told["last_7_days"] == {
            "hits": 2, "stale": 0, "saved_usd": pytest.approx(2 * cost_usd),
        }  # fmt: skip
        assert (told["mode"], told["answers"]) == ("asked", 1)
        assert told["since_start"] == {
            "hits": 2, "misses": 1, "stale": 0, "evicted": 0, "hit_rate": pytest.approx(2 / 3),
        }  # fmt: skip


def test_every_answer_can_be_forgotten_at_once(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
        assert made.service.client.delete("/cache").json == {"evicted": 1}
        assert made.service.ask(**USE)["cache"] == "miss"
        stored = b"".join(path.read_bytes() for path in (tmp_path / BESIDE).glob("cache*"))
        assert stored.count(b"hello") == 1


def test_who_clears_hears_that_other_processes_could_not_be_told(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
        made.service.parts.settings.database.unlink()
        told = made.service.client.delete("/cache")
        assert (told.status_code, told.json["error"]["code"]) == (503, "store_unavailable")
        assert "what this process had stored is forgotten" in told.json["error"]["message"]
        assert made.service.ask(**USE)["cache"] == "miss"


def test_a_cache_file_that_fails_is_a_miss(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
        made.service.parts.cache._file._db.execute("DROP TABLE answers")
        assert [made.service.ask(**USE)["cache"] for _ in range(2)] == ["miss", "miss"]


def test_no_word_of_a_prompt_is_in_the_file(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask(**USE)
        stored = b"".join(path.read_bytes() for path in (tmp_path / BESIDE).glob("cache*"))
        assert b"hello" in stored
        assert b"France" not in stored
        assert b"france" not in stored


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_drop_in_endpoint_gives_it_again_as_the_provider_would(
    tmp_path: Path, provider: Provider, stream: bool
) -> None:
    asked = {
        "model": "auto", "messages": [{"role": "user", "content": "hi"}], "cache": "use",
        "stream": stream, "stream_options": {"include_usage": True},
    }  # fmt: skip
    with running(tmp_path, sandbox_url=provider.url) as service:
        first = service.post("/v1/chat/completions", asked)
        first.get_data()  # an answer that nobody has read yet is still under way
        second = service.post("/v1/chat/completions", asked)
        used = [response.headers["x-turnpike-cache"] for response in (first, second)]
        assert used == ["miss", "hit"]
        assert second.headers["x-turnpike-attempts"] == "0"
        if stream:
            texts = [
                "".join(
                    choice["delta"].get("content") or ""
                    for each in events(response)[:-1]
                    for choice in each["choices"]
                )
                for response in (first, second)
            ]
            counted = [events(each)[-2]["usage"]["total_tokens"] for each in (first, second)]
        else:
            texts = [each.json["choices"][0]["message"]["content"] for each in (first, second)]
            counted = [each.json["usage"]["total_tokens"] for each in (first, second)]
            assert second.headers["x-turnpike-cost-usd"] == "0"
        assert texts[0] == texts[1] != ""
        assert counted[0] == counted[1]


def test_a_stream_nobody_reads_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    def endless(talk: Conversation) -> None:
        talk.events(chunk("Once "))
        talk.until_client_leaves()

    with faulty(tmp_path, {"a": endless}) as made:
        first = made.service.post("/complete", {**USE, "stream": True})
        first.close()
        assert made.service.parts.cache.flights._under_way == {}
        assert eventually(lambda: made.decisions[0].outcome is not None)


def test_the_wish_may_come_as_a_header_under_v1(tmp_path: Path) -> None:
    asked = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    with faulty(tmp_path, {"a": good}) as made:
        used = []
        for wish in ("use", "use", "refresh", "off"):
            response = made.service.client.post(
                "/v1/chat/completions", json=asked, headers={"x-turnpike-cache": wish}
            )
            used.append(response.headers["x-turnpike-cache"])
        assert used == ["miss", "hit", "miss", "miss"]
