"""What every log does when many threads use it at once."""

import threading
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from storage.events import EvalEvent, Event, FeedbackEvent
from storage.log import Log
from tests.storage.conftest import OpenLog
from tests.storage.rounds import DECISION, EVAL, HOUR_S, NOON_S, OUTCOME, POLICY, but, rows

THREADS = 16


def in_parallel(work: Callable[[int], None], n: int) -> None:
    """Share the numbers 0..n-1 out among threads that start together."""
    start = threading.Barrier(THREADS)

    def share(first: int) -> None:
        start.wait()
        for i in range(first, n, THREADS):
            work(i)

    threads = [threading.Thread(target=share, args=(k,), daemon=True) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def values(event: Event) -> tuple[object, ...]:
    return tuple(
        value.tobytes() if name == "context" else value
        for name in event.__slots__
        for value in [getattr(event, name)]
    )


@pytest.mark.parametrize("n", [0, 1, 99, 100, 101, 1000])
def test_as_many_rows_come_out_as_went_in(open_log: OpenLog, n: int) -> None:
    written = [but(DECISION, id=f"d{i:04}", propensity=(i + 1) / (n + 1)) for i in range(n)]
    with open_log() as log:

        def write(i: int) -> None:
            log.decide(written[i]).wait()
            log.settle(but(OUTCOME, decision_id=f"d{i:04}")).wait()

        in_parallel(write, n)
    with open_log() as log:
        assert rows(log.recent(n + 1)) == rows(written)
        assert [event.seq for event in log.events()] == list(range(1, n + 1))


def test_the_same_thumb_a_thousand_times_is_one_event(log: Log) -> None:
    log.decide(DECISION).wait()
    said: Counter[str] = Counter()

    def thumb(_i: int) -> None:
        rating = log.rate("d", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        said.update([rating.status])

    in_parallel(thumb, 1000)
    assert said == {"recorded": 1, "duplicate": 999}
    assert log.position() == 1


def test_revisions_by_many_threads_rise_and_leave_one_vote(log: Log) -> None:
    log.decide(DECISION).wait()

    def thumb(i: int) -> None:
        log.rate("d", "ann", (i % 7) / 7, at_s=NOON_S, tenant="acme", window_s=HOUR_S)

    in_parallel(thumb, 320)
    given = [event for event in log.events() if isinstance(event, FeedbackEvent)]
    assert len(given) > 100
    for before, after in pairwise(given):
        assert after.previous_reward == before.reward != after.reward
    assert log.decision("d").reward == given[-1].reward
    assert log.counts().rated == 1


def test_what_a_subscriber_folds_live_is_what_a_restart_folds(open_log: OpenLog) -> None:
    live: list[Event] = []
    with open_log() as log:
        log.subscribe(live.extend)
        log.adopt(POLICY)

        def use(i: int) -> None:
            log.decide(but(DECISION, id=f"d{i}"))
            log.settle(but(OUTCOME, decision_id=f"d{i}"))
            for reward in (1.0, 0.0, None)[: i % 4]:
                log.rate(f"d{i}", "ann", reward, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
            log.add_evals([but(EVAL, batch=f"b{i}")])

        in_parallel(use, 200)
    with open_log() as log:
        assert [values(event) for event in log.events()] == [values(event) for event in live]
        assert len(live) == 1 + 200 * 2 + 50 * (1 + 2 + 3)


def test_who_subscribes_while_others_write_misses_nothing(log: Log) -> None:
    told: dict[int, list[int]] = {}

    def use(i: int) -> None:
        log.add_evals([but(EVAL, batch=f"b{i}")]).wait()
        if i % 10 == 0:
            seqs = told.setdefault(i, [])
            log.subscribe(lambda events: seqs.extend(event.seq for event in events), after_seq=0)

    in_parallel(use, 100)
    assert len(told) == 10
    for seqs in told.values():
        assert seqs == list(range(1, 101))


def test_readers_see_what_was_durable_before_they_asked(log: Log) -> None:
    wrong: list[int] = []

    def use(i: int) -> None:
        log.add_evals([but(EVAL, arm=f"a{i}")]).wait()
        mine = [e for e in log.events() if isinstance(e, EvalEvent) and e.arm == f"a{i}"]
        wrong.extend([i] * (len(mine) != 1))

    in_parallel(use, 100)
    assert wrong == []
