"""Who may be asked now, the healthiest first; the clock is the test's."""

import threading
from dataclasses import dataclass, field

import pytest

from policy.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ParameterUnsupported,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRejected,
    UpstreamUnauthorised,
)
from policy.types import Arm
from upstream.doubt import BLANK
from upstream.health import Call, Health
from upstream.refusals import GONE
from upstream.retries import BURST

BROKEN = UpstreamError("it broke", arm="a", http_status=500)
REJECTED = UpstreamRejected("bad temperature", arm="a", http_status=400)
FORBIDDEN = UpstreamUnauthorised("not for you", arm="a", http_status=403)
BLANK_ANSWER = UpstreamInvalid("said nothing", arm="a", code=BLANK)
MODEL_GONE = UpstreamError("no such model", arm="a", http_status=400, code=GONE)
WAIT = UpstreamBusy("slow down", arm="a", http_status=429, retry_after_s=30)


def arm(name: str, **more: object) -> Arm:
    return Arm(name, "p", name, 1.0, 2.0, 8000, **more)


A, B, C = arm("a"), arm("b"), arm("c")


@dataclass
class World:
    """Health with a clock that stands still."""

    now_s: float = 1_000.0
    health: Health = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(limit=4, clock=lambda: self.now_s)

    def call(self, arm: Arm, error: UpstreamError | None = None, times: int = 1) -> None:
        for _ in range(times):
            call = self.health.begin(arm)
            if error is None:
                call.answer(0.5)
            call.end(error)

    def asked(self, *arms: Arm, failed: tuple[Arm, ...] = ()) -> list[set[str]]:
        """Return who may be asked at each step."""
        names = {each.name for each in arms} - {each.name for each in failed}
        return [names - set(step.unavailable) for step in self.health.steps(arms, failed)]

    def why(self, arm: Arm) -> str:
        return next(iter(self.health.steps([A, B, C]))).unavailable.get(arm.name, "")

    def spend_all(self) -> None:
        first = self.health.begin(arm("other"))
        while self.health.can_pay:
            self.health.begin(arm("other"), [first]).drop()
        first.drop()


@pytest.fixture
def world() -> World:
    return World()


def test_who_is_well_may_be_asked_from_the_start(world: World) -> None:
    assert world.asked(A, B) == [{"a", "b"}]


def test_an_arm_that_fails_is_left_alone_and_asked_when_nobody_else_is_left(world: World) -> None:
    world.call(A, BROKEN, times=3)
    assert world.asked(A, B) == [{"b"}, {"a", "b"}]
    assert world.why(A) == "it is left alone for 5 s more: 3 calls in a row failed"
    assert [step.lifted for step in world.health.steps([A, B])] == [False, True]


def test_when_all_are_left_alone_the_one_that_comes_back_first_is_asked_first(world: World) -> None:
    for each in (B, A, C):
        world.call(each, BROKEN, times=3)
        world.now_s += 1
    assert world.asked(A, B, C) == [{"b"}, {"a", "b"}, {"a", "b", "c"}]


def test_one_request_at_a_time_tries_out_an_arm(world: World) -> None:
    world.call(A, BROKEN, times=3)
    world.now_s += 5
    assert world.asked(A, B) == [{"a", "b"}]
    trial = world.health.begin(A)
    assert world.asked(A, B) == [{"b"}, {"a", "b"}]
    assert "another request is to try it out" in world.why(A)
    trial.answer(0.1)
    assert world.asked(A, B) == [{"a", "b"}]


@pytest.mark.parametrize("end", ["rejected", "dropped"])
def test_a_trial_that_says_nothing_leaves_the_place_to_the_next(world: World, end: str) -> None:
    world.call(A, BROKEN, times=3)
    world.now_s += 5
    trial = world.health.begin(A)
    if end == "rejected":
        trial.end(REJECTED)
    else:
        trial.drop()
    assert world.health.standing(A).state == "half-open"
    assert world.asked(A, B) == [{"a", "b"}]


def test_nothing_is_tried_out_without_a_retry_in_hand(world: World) -> None:
    world.call(A, BROKEN, times=3)
    world.now_s += 5
    world.spend_all()
    assert world.asked(A, B) == [{"b"}, {"a", "b"}]


def test_a_retry_tries_nothing_out(world: World) -> None:
    world.call(A, times=19)
    world.call(A, UpstreamUnauthorised("bad key", arm="a", http_status=401))
    world.now_s += 60
    assert world.asked(A, B) == [{"a", "b"}]
    assert world.asked(A, B, C, failed=(C,)) == [{"b"}, {"a", "b"}]


def test_an_arm_that_fails_one_call_of_ten_stands_in_like_one_that_fails_none(world: World) -> None:
    world.call(A, times=9)
    world.call(B)
    world.call(A, BROKEN)
    assert world.asked(A, B, C, failed=(C,)) == [{"a", "b"}]
    world.call(A, BROKEN)
    assert world.asked(A, B, C, failed=(C,)) == [{"b"}, {"a", "b"}]


def test_a_retry_goes_first_to_who_has_answered_lately_then_to_another_quota(world: World) -> None:
    failed, near = arm("failed", quota_group="g"), arm("near", quota_group="g")
    world.call(A)
    world.now_s += 31
    world.call(B)
    world.call(near)
    world.call(C, BROKEN)
    assert world.asked(failed, near, A, B, C, failed=(failed,)) == [
        {"b"},
        {"b", "near"},
        {"a", "b", "near"},
        {"a", "b", "c", "near"},
    ]
    steps = world.health.steps([failed, near, A, B, C], [failed])
    assert [step.sound for step in steps] == [True, True, True, False]


def test_an_arm_that_is_told_to_wait_cools_its_whole_quota_group_and_is_in_no_step(
    world: World,
) -> None:
    one, other = arm("one", quota_group="g"), arm("other", quota_group="g")
    world.call(one, WAIT)
    assert world.asked(one, other, A) == [{"a"}]
    assert world.asked(one, other) == [set()]
    assert world.health.waits_s([one, other, A]) == 30
    world.now_s += 30
    assert world.asked(one, other) == [{"one", "other"}]
    assert world.health.waits_s([one, other]) is None


def test_a_moment_that_no_provider_has_named_is_not_told(world: World) -> None:
    world.call(A, UpstreamBusy("slow down", arm="a", http_status=429))
    assert world.health.waits_s([A]) is None


def test_an_arm_is_back_only_when_its_quota_is_too(world: World) -> None:
    told: list[str] = []
    world.health = Health(4, lambda: world.now_s, notice=lambda _arm, why: told.append(why))
    world.call(A, BROKEN, times=3)
    trial = world.health.begin(A)
    world.now_s += 1
    world.call(A, WAIT)
    trial.answer(0.5)
    assert told == ["3 calls in a row failed"]
    world.now_s += 30
    world.health.begin(A).answer(0.5)
    assert told[1:] == [""]


def test_a_refused_key_shuts_only_its_own_arm(world: World) -> None:
    one, other = arm("one", quota_group="g"), arm("other", quota_group="g")
    world.call(one, UpstreamUnauthorised("bad key", arm="one", http_status=401))
    assert world.asked(one, other)[0] == {"other"}
    assert world.health.standing(one).tried_again_in_s == 60


def test_a_full_arm_is_passed_over_while_another_can_serve(world: World) -> None:
    small = arm("small", max_concurrent=1)
    calls = [world.health.begin(A) for _ in range(4)]
    small_call = world.health.begin(small)
    assert world.asked(A, B, small) == [{"b"}, {"a", "b", "small"}]
    assert world.why(A) == "4 calls to it are under way, its limit is 4"
    calls[0].end()
    small_call.drop()
    assert world.asked(A, B, small) == [{"a", "b", "small"}]


def failed(world: World, error: UpstreamError) -> Call:
    call = world.health.begin(A)
    call.end(error)
    return call


def shown(world: World) -> tuple[str, int, int]:
    standing = world.health.standing(A)
    return standing.state, standing.calls, standing.failures


@pytest.mark.parametrize("error", [REJECTED, FORBIDDEN, BLANK_ANSWER, MODEL_GONE])
def test_what_may_be_the_requests_own_fault_is_no_failure_by_itself(
    world: World, error: UpstreamError
) -> None:
    world.call(A, error, times=50)
    assert shown(world) == ("closed", 0, 0)


@pytest.mark.parametrize(
    ("error", "enough"), [(FORBIDDEN, 3), (BLANK_ANSWER, 3), (MODEL_GONE, 1), (REJECTED, 3)]
)
def test_it_is_one_once_another_arm_has_answered_the_same(
    world: World, error: UpstreamError, enough: int
) -> None:
    world.call(A, REJECTED, times=2)
    for n in range(1, enough + 1):
        call = failed(world, error)
        world.health.begin(B, [call]).end()
        assert shown(world) == ("open" if n == enough else "closed", n, n)


@pytest.mark.parametrize("again", [BROKEN, FORBIDDEN, BLANK_ANSWER])
def test_it_is_none_where_another_arm_fails_too_or_says_nothing(
    world: World, again: UpstreamError
) -> None:
    for _ in range(4):
        call = failed(world, FORBIDDEN)
        world.health.begin(B, [call]).end(again)
        world.health.begin(C, [call]).end(speaks=False)
    assert shown(world) == ("closed", 0, 0)


def test_a_third_arm_that_answers_tells_of_both_that_failed_and_once(world: World) -> None:
    first, second = failed(world, FORBIDDEN), world.health.begin(B)
    second.end(FORBIDDEN)
    third = world.health.begin(C, [first, second])
    third.end()
    third.end()
    assert [world.health.standing(each).failures for each in (A, B, C)] == [1, 1, 0]


def test_a_rejection_is_doubted_when_it_is_the_third_in_a_row(world: World) -> None:
    for answers in (False, True):
        doubted = [failed(world, REJECTED).doubted for _ in range(4)]
        assert doubted == [None, None, REJECTED, REJECTED]
        world.call(A)
        assert answers or failed(world, REJECTED).doubted is None
        world.call(A)


CLEARED = [
    ContextLengthExceeded("too long", arm="a", http_status=400),
    ParameterUnsupported("no images", arm="a", http_status=404),
    ContentFiltered("flagged", arm="a", http_status=403),
    UpstreamBusy("more than a minute's tokens", arm="a", http_status=413),
]


@pytest.mark.parametrize("error", CLEARED)
def test_a_rejection_that_clears_the_arm_is_never_doubted(
    world: World, error: UpstreamError
) -> None:
    world.call(A, error, times=5)
    assert shown(world) == ("closed", 0, 0)
    assert failed(world, error).doubted is None
    assert failed(world, REJECTED).doubted is None


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (UpstreamUnauthorised("bad key", arm="a", http_status=401), "open"),
        (UpstreamError("no money", arm="a", http_status=402), "open"),
        (UpstreamError("no such model", arm="a", http_status=404, code=GONE), "open"),
        (UpstreamInvalid("no JSON", arm="a"), "closed"),
    ],
)
def test_what_is_surely_the_arms_fault_counts_at_once(
    world: World, error: UpstreamError, state: str
) -> None:
    world.call(A, error)
    assert shown(world) == (state, 1, 1)


def test_without_a_retry_in_hand_one_failure_is_enough_to_be_left_alone(world: World) -> None:
    world.call(A, BROKEN)
    assert world.health.standing(A).state == "closed"
    world.spend_all()
    world.call(A, BROKEN)
    assert world.health.standing(A).state == "open"


def test_an_answer_that_breaks_off_after_content_counts_as_a_failure(world: World) -> None:
    for _ in range(3):
        call = world.health.begin(A)
        call.answer(0.2)
        call.end(BROKEN)
    assert world.health.standing(A).state == "open"


def test_what_is_shown_of_an_arm(world: World) -> None:
    world.call(A)
    world.call(A, BROKEN, times=3)
    held = world.health.begin(A)
    shown = world.health.standing(A)
    assert (shown.state, shown.why) == ("open", "3 calls in a row failed")
    assert (shown.tried_again_in_s, shown.under_way) == (5, 1)
    assert (shown.calls, shown.failures, shown.ttft_s) == (4, 3, 0.5)
    held.drop()
    assert world.health.standing(B).ttft_s is None


def test_the_budget_comes_from_requests_and_goes_to_further_calls(world: World) -> None:
    first = world.health.begin(B)
    for _ in range(int(BURST)):
        assert world.health.can_pay
        world.health.begin(A, [first]).drop()
    assert not world.health.can_pay
    for _ in range(5):
        world.health.begin(A).drop()
    assert world.health.can_pay


def test_many_threads_leave_no_call_under_way_behind() -> None:
    health = Health(limit=4)

    def work() -> None:
        calls: list[Call] = []
        for turn in range(200):
            list(health.steps([A, B], (B,)))
            calls = [call := health.begin(A, calls if turn % 5 else ())]
            call.answer(0.1)
            call.end(FORBIDDEN if turn % 3 else None)
            call.drop()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert health.standing(A).under_way == 0
    with_trials = [each for each in health.begin(A).tried if each.trials != 1]
    assert with_trials == []
