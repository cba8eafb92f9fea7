"""What may be the request's own fault counts against an arm only once another has answered it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.faulty import Faulty, broken, faulty, good, refusing
from tests.app.hostile import status
from tests.app.hostile_streams import ENDING, told
from tests.app.routing.test_answering import events
from tests.app.routing.test_router import CHEAP, DEAR, FIRST_BAD, SOBER
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion

BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
TOOL_SAID = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "done"},
]  # fmt: skip


def either(plain: Scenario, stream: Scenario) -> Scenario:
    """Return a scenario that answers as it is asked."""
    return lambda talk: (stream if talk.body.get("stream") else plain)(talk)


def saying_nothing(**thoughts: str) -> Scenario:
    def plain(talk: Conversation) -> None:
        talk.reply(completion({"role": "assistant", "content": "", **thoughts}))

    def stream(talk: Conversation) -> None:
        talk.events(chunk(delta={"content": "", **thoughts}), chunk(finish="stop"), b"[DONE]")

    return either(plain, stream)


well, blank = either(good, told(*ENDING)), saying_nothing()


def wrong(told: int, said: str, **more: object) -> Scenario:
    return status(told, body=json.dumps({"error": {"message": said, **more}}).encode())


WRONG = {"object": "error", "message": {"detail": [
    {"type": "less_than", "loc": ["body", "top_p"], "msg": "Input should be less than 1"}
]}}  # fmt: skip
GONE = {
    "openrouter": wrong(400, "m2 is not a valid model ID", code=400),
    "groq": wrong(400, "The model `m2` has been decommissioned.", code="model_decommissioned"),
    "in words": wrong(422, "The model m2 does not exist or you do not have access to it."),
}
ODD_403 = wrong(403, "not for you")


def ask(made: Faulty, *, stream: bool = False, **more: Any) -> int:
    """Return the status of an answer that has come to its end."""
    response = made.service.post("/complete", {**SOBER, "stream": stream, **more})
    assert response.status_code != 200 or not stream or events(response)[-1] == "[DONE]"
    return response.status_code


def health(made: Faulty) -> list[tuple[str, int]]:
    """Return of each arm its breaker and how many calls it has failed."""
    arms = sorted(made.service.get("/policy")["arms"], key=lambda each: each["arm"])
    return [(each["health"]["state"], each["health"]["failures"]) for each in arms]


@BOTH_WAYS
@pytest.mark.parametrize(
    "scenario", [refusing, status(422, body=json.dumps(WRONG).encode())], ids=["400", "422"]
)
def test_an_arm_that_rejects_whatever_comes_is_found_and_left_alone(
    tmp_path: Path, scenario: Scenario, stream: bool
) -> None:
    with faulty(tmp_path, {"bad": scenario, "good": well}, FIRST_BAD) as made:
        assert [ask(made, stream=stream) for _ in range(8)] == [400, 400, *[200] * 6]
        assert made.asked == ["bad"] * 2 + ["bad", "good"] * 3 + ["good"] * 3
        assert health(made) == [("open", 3), ("closed", 0)]
        assert [each.status for each in made.attempts()[:4]] == ["rejected"] * 3 + ["ok"]
        assert made.decisions[3].decision.retry_of == made.decisions[2].decision.id


@BOTH_WAYS
@pytest.mark.parametrize("scenario", GONE.values(), ids=GONE.keys())
def test_an_arm_whose_model_is_gone_is_left_alone_at_once(
    tmp_path: Path, scenario: Scenario, stream: bool
) -> None:
    with faulty(tmp_path, {"bad": scenario, "good": well}, FIRST_BAD) as made:
        assert [ask(made, stream=stream) for _ in range(3)] == [200] * 3
        assert made.asked == ["bad", "good", "good", "good"]
        shown = made.service.health("bad")
        assert shown["why"].startswith("model_not_found, status 4")
        assert 50 < shown["tried_again_in_s"] <= 60


def test_where_several_models_are_gone_the_arm_that_is_left_answers(tmp_path: Path) -> None:
    scenarios = {"bad": GONE["openrouter"], "dead": GONE["groq"], "good": good}
    arms = {"bad": CHEAP, "dead": CHEAP, "good": DEAR}
    with faulty(tmp_path, scenarios, arms) as made:
        assert [ask(made), ask(made)] == [200, 200]
        assert (sorted(made.asked[:2]), made.asked[2:]) == (["bad", "dead"], ["good", "good"])
        assert [state for state, _ in health(made)] == ["open", "open", "closed"]


def test_a_request_that_every_arm_rejects_is_the_callers_and_counts_against_none(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"bad": refusing, "good": refusing}, FIRST_BAD) as made:
        assert [ask(made) for _ in range(10)] == [400] * 10
        assert made.asked == ["bad"] * 2 + ["bad", "good"] * 8
        assert health(made) == [("closed", 0), ("closed", 0)]


@pytest.mark.parametrize(
    ("second", "before"),
    [(refusing, 0), (refusing, 2), (broken, 0)],
    ids=["rejects too", "rejects whatever comes", "breaks"],
)
def test_after_a_rejection_one_other_arm_is_asked_and_no_more(
    tmp_path: Path, second: Scenario, before: int
) -> None:
    arms = {"bad": CHEAP, "dead": {**CHEAP, "output_usd_per_mtok": 0.3}, "good": DEAR}
    scenarios = {"bad": refusing, "dead": second, "good": good}
    with faulty(tmp_path, scenarios, arms) as made:
        pinned = {**SOBER, "models": ["bad"]}
        for arm in ["bad"] * 2 + ["dead"] * before:
            assert ask(made, models=[arm]) == 400
        answer = made.service.post("/complete", {**pinned, "fallbacks": ["dead", "good"]})
        assert answer.status_code == 400
        assert "temperature must be below 2" in answer.json["error"]["message"]
        assert made.asked == ["bad"] * 2 + ["dead"] * before + ["bad", "dead"]


def test_an_answer_between_ends_the_row_of_rejections(tmp_path: Path) -> None:
    def odd(talk: Conversation) -> None:
        (refusing if len(made.seen.bodies) % 3 else good)(talk)

    with faulty(tmp_path, {"bad": odd, "good": good}, FIRST_BAD) as made:
        assert [ask(made) for _ in range(6)] == [400, 400, 200] * 2
        assert set(made.asked) == {"bad"}


@pytest.mark.parametrize(
    ("wish", "third", "asked"),
    [({}, 400, ["bad"]), ({"fallbacks": ["good"]}, 200, ["bad", "good"])],
    ids=["alone", "with a fallback"],
)
def test_of_a_pinned_arm_only_the_fallbacks_are_tried(
    tmp_path: Path, wish: dict[str, Any], third: int, asked: list[str]
) -> None:
    with faulty(tmp_path, {"bad": refusing, "good": good}, FIRST_BAD) as made:
        told = [ask(made, models=["bad"], **wish) for _ in range(3)]
        assert told == [400, 400, third]
        assert made.asked == ["bad", "bad", *asked]


@BOTH_WAYS
@pytest.mark.parametrize("scenario", [blank, ODD_403], ids=["says nothing", "forbids"])
def test_an_arm_that_fails_a_request_which_another_answers_is_left_alone_after_three(
    tmp_path: Path, scenario: Scenario, stream: bool
) -> None:
    with faulty(tmp_path, {"bad": scenario, "good": well}, FIRST_BAD) as made:
        assert [ask(made, stream=stream) for _ in range(4)] == [200] * 4
        assert made.asked == ["bad", "good"] * 3 + ["good"]
        assert health(made) == [("open", 3), ("closed", 0)]


@BOTH_WAYS
def test_what_two_arms_answer_with_nothing_is_passed_on_and_counts_against_none(
    tmp_path: Path, stream: bool
) -> None:
    with faulty(tmp_path, {"bad": blank, "worse": blank, "good": well}, cache="exact") as made:
        assert [ask(made, stream=stream, models=["bad", "worse"]) for _ in range(4)] == [200] * 4
        assert len(made.asked) == 8  # it is not stored either
        assert health(made) == [("closed", 0)] * 3
        assert all(each.cost_usd > 0 for each in made.attempts())
        ends = [(each.outcome.status, each.outcome.finish_reason) for each in made.decisions]
        assert ends == [("error", None), ("ok", "stop")] * 4


def test_where_the_other_arm_breaks_the_failure_is_told_and_counts_against_it_alone(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"bad": blank, "good": broken}, FIRST_BAD) as made:
        assert [ask(made) for _ in range(2)] == [502] * 2
        assert health(made) == [("closed", 0), ("closed", 2)]


def test_of_a_pinned_arm_that_says_nothing_the_caller_is_told_so(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": blank, "good": good}) as made:
        assert [ask(made, models=["bad"]) for _ in range(4)] == [502] * 4
        assert health(made) == [("closed", 0), ("closed", 0)]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("scenario", "wish"),
    [
        (blank, {"stop": ["A", "B"]}),
        (blank, {"prompt": None, "messages": TOOL_SAID}),
        (saying_nothing(reasoning_content="hm"), {}),
    ],
    ids=["stop", "after a tool", "thoughts"],
)
def test_nothing_is_an_answer_where_it_has_a_reason(
    tmp_path: Path, scenario: Scenario, wish: dict[str, Any], stream: bool
) -> None:
    asked = {name: value for name, value in {**SOBER, **wish}.items() if value is not None}
    with faulty(tmp_path, {"bad": scenario, "good": well}, FIRST_BAD) as made:
        for _ in range(4):
            response = made.service.post("/complete", {**asked, "stream": stream})
            answer = events(response)[-2] if stream else response.json
            assert (answer["text"], answer["finish_reason"]) == ("", "stop")
        assert made.asked == ["bad"] * 4
        assert health(made) == [("closed", 0), ("closed", 0)]


def test_an_end_that_promises_a_call_and_has_none_is_no_answer(tmp_path: Path) -> None:
    def calling(talk: Conversation) -> None:
        talk.reply(completion({"role": "assistant", "content": None}, finish="tool_calls"))

    with faulty(tmp_path, {"bad": calling, "good": good}, FIRST_BAD) as made:
        assert ask(made, stop=["A"]) == 200
        assert made.asked == ["bad", "good"]


@BOTH_WAYS
def test_what_a_filter_holds_back_is_passed_on_and_counts_against_no_arm(
    tmp_path: Path, stream: bool
) -> None:
    said = 'Your chosen model requires moderation and your input was flagged for "violence"'
    flagged = wrong(403, said, code=403)
    with faulty(tmp_path, {"bad": flagged, "good": well}, FIRST_BAD) as made:
        for _ in range(4):
            status_code, error = made.service.refused("/complete", {**SOBER, "stream": stream})
            assert (status_code, error["type"]) == (400, "invalid_request_error")
            assert "requires moderation" in error["message"]
        assert made.asked == ["bad"] * 4
        assert health(made) == [("closed", 0), ("closed", 0)]


@BOTH_WAYS
def test_what_nobody_behind_an_arm_takes_is_tried_with_one_other(
    tmp_path: Path, stream: bool
) -> None:
    unable = wrong(404, "No endpoints found that support image input", code=404)
    with faulty(tmp_path, {"bad": unable, "good": well}, FIRST_BAD) as made:
        assert [ask(made, stream=stream) for _ in range(4)] == [200] * 4
        assert made.asked == ["bad", "good"] * 4
        assert health(made) == [("closed", 0), ("closed", 0)]


def test_what_every_arm_forbids_counts_against_none(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": ODD_403, "good": ODD_403}) as made:
        assert [ask(made) for _ in range(4)] == [502] * 4
        assert health(made) == [("closed", 0), ("closed", 0)]
