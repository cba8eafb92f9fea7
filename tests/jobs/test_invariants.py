"""Each invariant is broken by hand in a log of the real service, and is seen by its number."""

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from app.commands.evals import import_evals
from app.commands.training import retrain
from jobs.invariants import INVARIANTS, broken
from jobs.witness import Audit, Journal, Witness
from policy.exploration import Control
from storage.database import WAL_LIMIT_BYTES
from storage.records import Round
from storage.spool import Spare, Spool, Spooling
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.app.routing.test_live import learn
from tests.app.running import evals_table, running, sandbox
from tests.storage.rounds import DECISION

CANARY = b"canary-4711"
SHARE = 0.05


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Witness]:
    """Return the folder of a service that has learned and ended, and what else is known."""
    folder = tmp_path_factory.mktemp("healthy")
    dials = {"control_share": SHARE, "baseline": "gpt-4o"}
    with sandbox() as provider, running(folder, sandbox_url=provider.url, **dials) as service:
        import_evals(service.parts.settings, evals_table(folder / "evals.csv", 40))
        learn(service)
        service.rate(service.ask()["id"], comment=CANARY.decode())
        retrain(service.parts.settings, "manual")
        learn(service, 40)
        live = service.learned
        assert live.policy_version == 2
    with SqliteReader(folder / "turnpike.db") as log:
        votes = Audit(log, Witness()).votes
        thumbs = {
            (*who, revision): event.reward
            for who, each in votes.items()
            for revision, event in enumerate(each, start=1)
        }
        outcomes = frozenset(each.decision.id for each in log.decisions())
    return folder, Witness(
        journal=Journal(outcomes, thumbs),
        live=live.to_arrays(),
        live_seq=live.upto_seq,
        control=Control(SHARE, "gpt-4o"),
        asked=len(provider.bodies),
        database=folder / "turnpike.db",
        held={"memory MB": (100.0, 104.0)},
    )


@dataclass
class Case:
    """A copy of the healthy log, to be broken."""

    path: Path
    witness: Witness

    def sql(self, *statements: str) -> Witness:
        """Change the log as no program of ours would."""
        with sqlite3.connect(self.path, isolation_level=None) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                assert db.execute(statement).rowcount > 0, statement
        db.close()
        return self.witness

    @property
    def rounds(self) -> list[Round]:
        with SqliteReader(self.path) as log:
            return list(log.decisions())

    def journal(self, **changes: object) -> Witness:
        return replace(self.witness, journal=replace(self.witness.journal, **changes))


@pytest.fixture
def case(healthy: tuple[Path, Witness], tmp_path: Path) -> Case:
    folder, witness = healthy
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "turnpike.db"
    return Case(path, replace(witness, database=path))


def audited(path: Path, witness: Witness) -> list[str]:
    with SqliteReader(path) as log:
        return broken(log, witness)


def test_a_log_of_the_service_breaks_none(case: Case) -> None:
    assert audited(case.path, case.witness) == []


def test_an_empty_log_breaks_none(tmp_path: Path) -> None:
    SqliteLog(tmp_path / "turnpike.db").close()
    assert audited(tmp_path / "turnpike.db", Witness()) == []


def lost_outcome(case: Case) -> Witness:
    return case.journal(outcomes=case.witness.journal.outcomes | {"tp-lost"})


def lost_thumb(case: Case) -> Witness:
    (decision, rater, revision), _ = next(iter(case.witness.journal.thumbs.items()))
    return case.journal(thumbs={(decision, rater, revision + 5): 1.0})


def other_thumb(case: Case) -> Witness:
    thumb = next(iter(case.witness.journal.thumbs))
    return case.journal(thumbs={thumb: 0.25})


def no_end(case: Case) -> Witness:
    """Take away the last outcome, so that no gap tells of it, and let nobody know it."""
    return replace(
        case.sql(
            "DELETE FROM feedback WHERE seq > (SELECT max(seq) FROM outcomes)",
            "DELETE FROM outcomes WHERE seq = (SELECT max(seq) FROM outcomes)",
            "UPDATE log_position SET seq = (SELECT max(seq) FROM outcomes)",
        ),
        journal=Journal(),
        live=None,
    )


def never_given(case: Case) -> Witness:
    """Let a second vote take back nothing of the first."""
    case.sql("UPDATE feedback SET revision = 7 WHERE revision = 2")
    return case.journal(thumbs={})


def learned_twice(case: Case) -> Witness:
    assert case.witness.live is not None
    name = next(each for each in case.witness.live if each.endswith("/gram"))  # never zero
    return replace(case.witness, live={**case.witness.live, name: 2 * case.witness.live[name]})


def gap(case: Case) -> Witness:
    return replace(
        case.sql("UPDATE feedback SET seq = -1 WHERE seq = (SELECT min(seq) FROM feedback)"),
        live=None,
        journal=replace(case.witness.journal, thumbs={}),
    )


def endless(case: Case) -> Witness:
    """Let a rated context hold numbers whose squares are infinite."""
    raw = np.full(64, 1e200).tobytes().hex()
    case.sql(
        f"UPDATE decisions SET context = X'{raw}', feature_version = (SELECT max(feature_version) "
        "FROM policies) WHERE id = (SELECT decision_id FROM feedback ORDER BY seq DESC LIMIT 1)"
    )
    return replace(case.witness, live=None)


def dearer(case: Case) -> Witness:
    return case.sql("UPDATE outcomes SET cost_usd = 1 WHERE seq = (SELECT max(seq) FROM outcomes)")


def reserved(case: Case) -> Witness:
    return replace(case.witness, reserved_usd=0.01)


def told(case: Case) -> Witness:
    return replace(case.witness, secrets=(CANARY,), files=(case.path,))


def waiting(case: Case) -> Witness:
    spool = Spool.beside(case.path, Spooling(65_536))
    spool.keep("for a test", [Spare.of(DECISION, None)])
    spool.close()
    return case.witness


def long_wal(case: Case) -> Witness:
    wal = case.path.with_name(case.path.name + "-wal")
    wal.touch()
    os.truncate(wal, WAL_LIMIT_BYTES + 1)
    return case.witness


def grown(case: Case) -> Witness:
    return replace(case.witness, held={"memory MB": (100.0, 106.0)})


def from_the_future(case: Case) -> Witness:
    return case.sql(
        "UPDATE decisions SET policy_version = 9 WHERE id = (SELECT max(id) FROM decisions)"
    )


def stale_holder(case: Case) -> Witness:
    """Let somebody whose lease was taken over have written under it."""
    return case.sql("INSERT INTO fenced VALUES ('retrain', 1, 2, 'bob', 0)")


def two_holders(case: Case) -> Witness:
    """Let two have written under one token."""
    return case.sql(
        "INSERT INTO fenced VALUES ('retrain', 1, 1, 'ann', 0), ('retrain', 1, 1, 'bob', 1)"
    )


def cut_answer(case: Case) -> Witness:
    return case.journal(malformed=("the stream of tp-1 ends in the middle of an event",))


def asked_again(case: Case) -> Witness:
    [(arm, _)] = Counter(each.decision.arm for each in case.rounds).most_common(1)
    first, second, *_ = (each.decision.id for each in case.rounds if each.decision.arm == arm)
    return case.sql(f"UPDATE decisions SET retry_of = '{first}' WHERE id = '{second}'")


def uncounted(case: Case) -> Witness:
    return replace(case.witness, asked=(case.witness.asked or 0) + 1)


def orphan(case: Case) -> Witness:
    return case.sql(
        "INSERT INTO attempts (decision_id, n, arm, started_at_s, latency_s, status, input_tokens, "
        "cached_tokens, output_tokens, cost_usd) VALUES ('nobody', 1, 'a', 0, 0, 'ok', 0, 0, 0, 0)"
    )


def against_a_check(case: Case) -> Witness:
    return case.sql("UPDATE evals SET score = 2 WHERE seq = (SELECT max(seq) FROM evals)")


def likelier(case: Case) -> Witness:
    """Let the log say of a decision that its arm was certain."""
    return case.sql(
        "UPDATE decisions SET propensity = 1 WHERE propensity < 1 AND id = "
        "(SELECT max(id) FROM decisions WHERE propensity < 1)"
    )


def dearer_dollar(case: Case) -> Witness:
    """Let the log say that a dollar was dearer than it was."""
    return case.sql(
        "UPDATE decisions SET willingness_to_pay_usd = 1e-6 WHERE id = "
        "(SELECT max(id) FROM decisions WHERE propensity < 1)"
    )


BREAKS: list[tuple[str, Callable[[Case], Witness]]] = [
    ("I1", lost_outcome),
    ("I1", lost_thumb),
    ("I1", other_thumb),
    ("I2", no_end),
    ("I3", never_given),
    ("I4", learned_twice),
    ("I4", gap),
    ("I5", endless),
    ("I6", dearer),
    ("I6", reserved),
    ("I7", told),
    ("I9", waiting),
    ("I9", long_wal),
    ("I9", grown),
    ("I10", from_the_future),
    ("I10", stale_holder),
    ("I10", two_holders),
    ("I11", cut_answer),
    ("I12", asked_again),
    ("I12", uncounted),
    ("I13", orphan),
    ("I13", against_a_check),
    ("I14", likelier),
    ("I14", dearer_dollar),
]


# Whoever changes what was learned from changes what is learned, and what was decided by it.
ALSO: dict[Callable[[Case], Witness], set[str]] = {
    never_given: {"I4", "I14"},
    gap: {"I3", "I14"},
    endless: {"I14"},
    against_a_check: {"I4", "I14"},
}


@pytest.mark.parametrize(("name", "break_it"), BREAKS, ids=lambda x: getattr(x, "__name__", x))
def test_a_broken_invariant_is_seen_by_its_number(
    case: Case, name: str, break_it: Callable[[Case], Witness]
) -> None:
    found = audited(case.path, break_it(case))
    assert any(each.startswith(f"{name}: ") for each in found), found
    numbers = {each.partition(":")[0] for each in found}
    assert numbers <= {name} | ALSO.get(break_it, set()), found


class Leaky(SqliteReader):
    """A reader that asks nobody whose a decision is."""

    def decision(self, decision_id: str, tenant: str | None = None) -> Round:
        return super().decision(decision_id)


def test_a_reader_that_shows_a_tenant_anothers_decision_is_seen(case: Case) -> None:
    case.sql("UPDATE decisions SET tenant = 'b' WHERE id = (SELECT max(id) FROM decisions)")
    assert audited(case.path, case.witness) == []
    with Leaky(case.path) as log:
        assert {each.partition(":")[0] for each in broken(log, case.witness)} == {"I8"}


def test_every_invariant_is_broken_once() -> None:
    assert {name for name, _ in BREAKS} | {"I8"} == INVARIANTS.keys()


def test_many_faults_of_one_kind_are_counted_and_not_listed(case: Case) -> None:
    lost = case.journal(outcomes=frozenset(f"tp-{n}" for n in range(10)))
    found = audited(case.path, lost)
    assert len(found) == 4
    assert found[-1] == "I1: and 7 more"
