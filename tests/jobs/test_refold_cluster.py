"""A log in a file, folded by the workers of a real Dask cluster over TCP."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster
from structlog.testing import capture_logs

from features.space import Space
from jobs.intake import of_policy, records
from jobs.learned import Learned
from jobs.refold import LogSource, computing, folding, followed, refolded
from jobs.retrain import retrain
from policy.hyper import Hyper
from policy.types import DAY_S
from storage import snapshots
from storage.handover import hand_over, take
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from storage.words import Stripped
from tests.features.texts import sketches
from tests.jobs.test_intake import POLICY
from tests.jobs.test_learned import TEXTS, context, declining, sketch
from tests.jobs.test_refold import EXACT, apart
from tests.storage.rounds import DECISION, EVAL, NOON_S, OUTCOME, but

ROUNDS = 120
STRIPPED = Stripped(decision_id="d", tenant="acme", key_id=None, sketch=b"", context=np.ones(1))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of ninety days: every answer settled, half of them rated, some twice, and an eval."""
    path = tmp_path_factory.mktemp("log") / "turnpike.db"
    with SqliteLog(path) as log:
        log.add_evals([but(EVAL, sketch=sketch(TEXTS[0]))]).wait()
        for n in range(ROUNDS):
            at_s, arm = NOON_S + n * DAY_S * 90 / ROUNDS, ("small", "large")[n % 2]
            decision = but(DECISION, id=f"d{n}", decided_at_s=at_s, arm=arm, feature_version=n % 3,
                           context=context(TEXTS[n % 4]), sketch=sketch(TEXTS[n % 4]))  # fmt: skip
            log.decide(decision).wait()
            cache = "hit" if n == ROUNDS - 1 else "miss"
            later = at_s + 400 * DAY_S * (n == ROUNDS - 1)  # what teaches nothing lets no time pass
            log.settle(but(OUTCOME, decision_id=f"d{n}", arm=arm, at_s=later, cache=cache)).wait()
            for reward in (n % 3 / 2, 1.0)[: n % 3]:
                log.rate(f"d{n}", "ann", reward, at_s=at_s + 9, tenant="acme", window_s=1e9)
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
    ) as started:
        yield started


def source(path: Path) -> LogSource:
    return LogSource(partial(SqliteReader, path))


def start() -> Learned:
    return Learned.under(1, Space.built_in(), Hyper())


@pytest.mark.slow
def test_workers_of_a_cluster_give_the_fold_and_the_same_bytes_as_one_process(
    path: Path, cluster: LocalCluster
) -> None:
    assert cluster.scheduler_address.startswith("tcp://")
    with SqliteReader(path) as log, computing(cluster.scheduler_address) as far:
        position = log.position()
        in_order = start().fold(log.events())
        there = refolded(start(), source(path), position, start(), far, size=40, tail=0)
    with computing(None) as near:
        here = refolded(start(), source(path), position, start(), near, size=40, tail=0)
    assert apart(in_order, there) < EXACT
    assert apart(here, there) == 0.0


@pytest.mark.parametrize("large", [1, 10_000])
def test_a_log_is_added_up_once_it_is_large(path: Path, large: int) -> None:
    with SqliteReader(path) as log, folding(log, source(path), None, start, large) as fold:
        before, position = fold(start(), 100), log.position()
        assert before.upto_seq == 100
        assert apart(fold(before, position), start().fold(log.events())) < EXACT


def changed() -> Learned:
    return start().fold(declining())


def test_the_changes_are_those_of_the_newest_snapshot(tmp_path: Path, path: Path) -> None:
    with SqliteReader(path) as log:
        with capture_logs() as said:
            assert followed(tmp_path, log, start()).watches == {}
        assert [line["event"] for line in said] == ["what was found of arms earlier is not known"]
        snapshots.save(tmp_path / "snapshots", 1, 9, changed().to_arrays(), log.mark(9))
        with capture_logs() as said:
            [watch] = followed(tmp_path, log, start()).watches.values()
    assert said == []
    assert watch.changes == changed().watches["a"].changes != ()


def test_on_another_machine_the_changes_are_those_the_policy_was_adopted_with(
    tmp_path: Path,
) -> None:
    policy = but(POLICY, hyper=Hyper().to_json())
    with SqliteLog(tmp_path / "turnpike.db") as log:
        hand_over(tmp_path / "handover", *of_policy(policy, replace(changed(), upto_seq=0)))
        take(tmp_path / "handover", log, records, NOON_S)
        [watch] = followed(tmp_path / "elsewhere", log, start()).watches.values()
        assert watch.changes == changed().watches["a"].changes != ()
        log.receive("p", "forget", NOON_S, [STRIPPED]).wait()
        assert followed(tmp_path / "elsewhere", log, start()).watches == {}


def test_what_an_older_copy_of_the_log_does_not_have_is_not_believed(tmp_path: Path) -> None:
    policy = but(POLICY, hyper=Hyper().to_json())
    with SqliteLog(tmp_path / "turnpike.db") as log:
        # It has learned from more than there is.
        hand_over(tmp_path / "handover", *of_policy(policy, changed()))
        take(tmp_path / "handover", log, records, NOON_S)
        with capture_logs() as said:
            assert followed(tmp_path / "elsewhere", log, start()).watches == {}
    assert said[0]["reason"] == "it knows events up to 180, and the log ends at 1"


@pytest.mark.slow
def test_a_retrain_by_sums_is_the_retrain_in_order(tmp_path: Path) -> None:
    prompts = sketches(60)
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(but(POLICY, hyper=Hyper().to_json())).wait()
        evals = [
            but(
                EVAL,
                prompt_sha256=f"p{n}",
                sketch=each.to_bytes(),
                arm=arm,
                score=float((arm == "small") == (n % 2 == 0)),
            )
            for n, each in enumerate(prompts)
            for arm in ("small", "large")
        ]
        log.add_evals(evals).wait()
        with folding(log, source(tmp_path / "turnpike.db"), None, start, large=1) as fold:
            sums = retrain(log, "manual", lambda: NOON_S, fold=fold)
        in_order = retrain(log, "manual", lambda: NOON_S)
    assert sums.learned is not None
    assert in_order.learned is not None
    assert (sums.retrain.promoted, sums.retrain.reason) == (True, in_order.retrain.reason)
    assert apart(in_order.learned, sums.learned) < EXACT
