"""Who is asked after a failure, who is left alone, and when enough has been asked."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.app.faulty import Faulty, broken, busy, faulty, good, unauthorised
from tests.app.running import eventually
from tests.upstream.misbehaving import Conversation, completion

CHEAP = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}
DEAR = {"input_usd_per_mtok": 9000.0, "output_usd_per_mtok": 9000.0}
FIRST_BAD = {"bad": CHEAP, "good": DEAR}
SOBER = {"prompt": "hi", "explore": False}


def ask(made: Faulty, **more: object) -> list[str]:
    """Return the arms that were asked for one request, which is answered."""
    before = len(made.asked)
    made.service.ask("hi", explore=False, **more)
    return made.asked[before:]


def test_the_only_arm_that_lives_is_found_and_then_asked_at_once(tmp_path: Path) -> None:
    scenarios = {**dict.fromkeys("abcd", broken), "living": good}
    with faulty(tmp_path, scenarios, {"living": DEAR}) as made:
        assert len(ask(made)) == 5
        asked = [len(ask(made)) for _ in range(40)]
        assert max(asked) <= 3
        assert asked[-20:] == [1] * 20
        assert made.service.health("living")["failures"] == 0


def test_an_arm_that_failed_three_times_is_left_alone_and_the_log_says_why(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": broken, "good": good}, FIRST_BAD) as made:
        assert [len(ask(made)) for _ in range(5)] == [2, 2, 2, 1, 1]
        shown = made.service.health("bad")
        assert (shown["state"], shown["failures"]) == ("open", 3)
        assert "3 calls in a row failed" in str(shown["why"])
        told = made.service.get(f"/decisions/{made.decisions[-1].decision.id}")
        assert "left alone for" in told["ineligible"]["bad"]
        assert made.service.post("/route", SOBER).json["arm"] == "good"


def test_when_every_breaker_is_open_an_arm_is_tried_all_the_same(tmp_path: Path) -> None:
    up = threading.Event()

    def play(talk: Conversation) -> None:
        good(talk) if up.is_set() else broken(talk)

    with faulty(tmp_path, {"a": play, "b": play}) as made:
        for _ in range(3):
            assert made.service.refused("/complete", SOBER)[0] == 502
        assert {made.service.health(each)["state"] for each in "ab"} == {"open"}
        up.set()
        assert len(ask(made)) == 1


def test_an_outage_of_everything_costs_one_call_and_a_fifth_for_each_request(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, dict.fromkeys("abc", broken)) as made:
        for _ in range(20):
            made.service.post("/complete", SOBER)
        before = len(made.asked)
        for _ in range(50):
            made.service.post("/complete", SOBER)
        assert (len(made.asked) - before) / 50 <= 1.25


def test_a_request_that_every_arm_fails_is_not_sent_round_while_others_are_answered(
    tmp_path: Path,
) -> None:
    def poisoned(talk: Conversation) -> None:
        broken(talk) if "poison" in str(talk.body) else good(talk)

    poison = {"prompt": "poison", "explore": False}
    with faulty(tmp_path, dict.fromkeys("abcde", poisoned)) as made:
        asked = []
        for _ in range(12):
            ask(made)
            before = len(made.asked)
            made.service.refused("/complete", poison)
            asked.append(len(made.asked) - before)
        assert asked[0] == 5
        assert max(asked[-4:]) <= 2


def test_all_told_to_wait_is_told_to_the_client_and_nobody_is_asked(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": busy, "b": busy}) as made:
        first = made.service.post("/complete", SOBER)
        assert (first.status_code, first.headers["x-should-retry"]) == (429, "false")
        again = made.service.post("/complete", SOBER)
        assert (again.status_code, again.json["error"]["code"]) == (429, "rate_limited")
        assert 1 <= int(again.headers["retry-after"]) <= 7
        assert "x-should-retry" not in again.headers
        assert len(made.asked) == 2
        assert len(made.decisions) == 2


def test_how_long_to_wait_is_told_in_words_as_in_the_header(tmp_path: Path) -> None:
    def soon(talk: Conversation) -> None:
        talk.head("429 Too Many Requests", "application/json", "Retry-After: 1.4")

    with faulty(tmp_path, {"a": soon}) as made:
        made.service.refused("/complete", SOBER)
        again = made.service.post("/complete", SOBER)
        assert again.headers["retry-after"] == "2"
        assert again.json["error"]["message"].endswith("ask again in 2 s")


def test_who_waits_for_the_only_arm_it_can_pay_for_is_told_how_long(tmp_path: Path) -> None:
    arms = {"bad": CHEAP, "dear": DEAR}
    with faulty(tmp_path, {"bad": busy, "dear": good}, arms, budget_usd=0.01) as made:
        made.service.refused("/complete", SOBER)
        again = made.service.post("/complete", SOBER)
        error = again.json["error"]
        assert (again.status_code, error["code"]) == (429, "budget_exceeded")
        assert "slow down" in error["reasons"]["bad"]
        assert error["reasons"]["dear"].startswith("it could cost")
        assert 1 <= int(again.headers["retry-after"]) <= 7
        assert made.asked == ["bad"]


def test_of_an_arm_that_is_left_alone_and_too_dear_the_price_is_told(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken}) as made:
        for _ in range(3):
            made.service.refused("/complete", SOBER)
        assert made.service.health("a")["state"] == "open"
        _, error = made.service.refused("/complete", {**SOBER, "max_cost_usd": 1e-9})
        assert error["reasons"]["a"].startswith("it would cost about")


def test_a_quota_group_that_was_told_to_wait_is_left_alone_together(tmp_path: Path) -> None:
    scenarios = {"one": busy, "two": good, "far": good}
    arms = {"one": {**CHEAP, "quota_group": "g"}, "two": {"quota_group": "g"}, "far": DEAR}
    with faulty(tmp_path, scenarios, arms) as made:
        assert ask(made) == ["one", "far"]
        assert ask(made) == ["far"]
        assert "slow down" in made.decisions[-1].decision.ineligible["two"]


def test_a_pinned_arm_that_is_down_is_not_asked_first(tmp_path: Path) -> None:
    scenarios = {"bad": broken, "spare": good, "other": good}
    with faulty(tmp_path, scenarios, {"bad": {"fallbacks": ["spare"]}}) as made:
        for _ in range(3):
            assert ask(made, models=["bad"]) == ["bad", "spare"]
        assert ask(made, models=["bad"]) == ["spare"]
        last = made.decisions[-1].decision
        assert (last.kind, last.retry_of) == ("fallback", None)
        for each, why in (
            (made.decisions[1].decision, "it has just failed"),
            (last, "it is left alone"),
        ):
            told = each.ineligible
            assert told["bad"].startswith(why)
            assert told["other"] == "the request does not list it"


def test_a_pinned_arm_without_fallbacks_is_asked_even_when_it_is_down(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": broken, "other": good}) as made:
        for _ in range(5):
            made.service.refused("/complete", {**SOBER, "models": ["bad"]})
        assert made.asked == ["bad"] * 5


def test_a_pinned_arm_falls_back_to_those_whom_the_request_names(tmp_path: Path) -> None:
    scenarios = {"bad": broken, "own": good, "named": good}
    with faulty(tmp_path, scenarios, {"bad": {"fallbacks": ["own"]}}) as made:
        assert ask(made, models=["bad"], fallbacks=["named"]) == ["bad", "named"]
        made.service.refused("/complete", {**SOBER, "models": ["bad"], "fallbacks": []})
        assert made.asked[2:] == ["bad"]
        body = {"model": "bad", "messages": [{"role": "user", "content": "hi"}]}
        named = {"x-turnpike-fallbacks": "named"}
        made.service.client.post("/v1/chat/completions", json=body, headers=named)
        assert made.asked[3:] == ["bad", "named"]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"models": ["a"], "fallbacks": ["z"]}, "fallbacks has 'z', which is no arm here"),
        ({"fallbacks": ["a"]}, "no arm is pinned that they could stand in for"),
        ({"models": ["a", "b"], "fallbacks": ["a"]}, "no arm is pinned"),
    ],
)
def test_a_fallback_that_cannot_be_one_is_refused(
    tmp_path: Path, wish: dict[str, list[str]], said: str
) -> None:
    with faulty(tmp_path, {"a": good, "b": good}) as made:
        status, error = made.service.refused("/complete", {**SOBER, **wish})
        assert (status, error["param"]) == (400, "fallbacks")
        assert said in error["message"]


def test_an_arm_that_goes_and_one_that_comes_back_are_told_to_the_operator_once(
    tmp_path: Path,
) -> None:
    up = threading.Event()

    def play(talk: Conversation) -> None:
        good(talk) if up.is_set() else broken(talk)

    with faulty(tmp_path, {"a": play}) as made, capture_logs() as lines:
        for _ in range(6):
            made.service.refused("/complete", SOBER)
        up.set()
        ask(made)
        told = [(line["event"], line["arm"]) for line in lines if "an arm" in line["event"]]
        assert told == [("an arm is left alone", "a"), ("an arm is back", "a")]


def test_a_refused_key_leaves_the_arm_alone_for_a_minute(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": unauthorised, "good": good}, FIRST_BAD) as made:
        assert ask(made) == ["bad", "good"]
        assert ask(made) == ["good"]
        assert 55 < made.service.health("bad")["tried_again_in_s"] <= 60


def test_a_slow_arm_holds_only_so_many_requests_and_the_rest_go_elsewhere(tmp_path: Path) -> None:
    release = threading.Event()

    def slow(talk: Conversation) -> None:
        release.wait(5)
        talk.reply(completion())

    arms = {"slow": {**CHEAP, "max_concurrent": 2}, "good": DEAR}
    with faulty(tmp_path, {"slow": slow, "good": good}, arms) as made:
        app = made.service.client.application
        threads = [
            threading.Thread(target=lambda: app.test_client().post("/complete", json=SOBER))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert eventually(lambda: len(made.asked) == 2)
        assert ask(made) == ["good"]
        why = made.decisions[-1].decision.ineligible["slow"]
        assert why == "2 calls to it are under way, its limit is 2"
        release.set()
        for thread in threads:
            thread.join()
        assert ask(made) == ["slow"]


def test_an_arm_that_comes_back_is_asked_again_within_half_a_minute(tmp_path: Path) -> None:
    up, now_s = threading.Event(), [0.0]

    def play(talk: Conversation) -> None:
        good(talk) if up.is_set() else broken(talk)

    def a_second_later() -> list[str]:
        now_s[0] += 1.0
        return ask(made)

    with faulty(tmp_path, {"bad": play, "good": good}, FIRST_BAD, clock=lambda: now_s[0]) as made:
        down = [a_second_later() for _ in range(60)]
        assert down.count(["bad", "good"]) < 10
        up.set()
        seconds = 1
        while a_second_later() != ["bad"]:
            seconds += 1
            assert seconds <= 30
        assert made.service.health("bad")["state"] == "closed"


def test_c17_an_older_answer_stands_in_before_a_third_arm_is_asked(tmp_path: Path) -> None:
    down: list[str] = []

    def play(talk: Conversation) -> None:
        broken(talk) if talk.body["model"] in down else good(talk)

    said = {"prompt": "hi", "explore": False, "cache": "use"}
    with faulty(tmp_path, dict.fromkeys("abc", play), cache_fresh_s=1e-6) as made:
        made.service.ask(**said)
        down += "abc"
        stale = made.service.ask(**said)
        assert (stale["cache"], stale["attempts"], len(made.asked)) == ("stale", 2, 3)
        assert len(set(made.asked[1:])) == 2
        made.service.refused("/complete", {**said, "cache": "off"})
        assert len(made.asked) == 6
