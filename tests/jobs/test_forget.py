"""What stays of a decision that is forgotten is its facts, in the space in which it was made."""

from pathlib import Path

import numpy as np

from features.fit import fit
from features.sketch import Sketch
from features.space import GROUPS, Space
from jobs.forget import PIECE, stripped
from storage.erasing import FORGOTTEN, Whose
from storage.sqlite_log import SqliteLog
from tests.features.texts import sketches
from tests.jobs.test_intake import POLICY
from tests.storage.rounds import DECISION, but

WORDS = np.array([group == "words" for group in GROUPS])


def decided(log: SqliteLog, identity: str, space: Space, sketch: Sketch, **more: object) -> None:
    made = but(DECISION, id=identity, feature_version=space.version,
               context=space.context(sketch), sketch=sketch.to_bytes(), **more)  # fmt: skip
    log.decide(made).wait()


def test_words_leave_the_context_and_facts_stay(tmp_path: Path) -> None:
    prompts = sketches(60)
    fitted, built_in = fit(prompts, 7), Space.built_in()
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(but(POLICY, version=2, feature_version=7, space=fitted.to_bytes())).wait()
        decided(log, "old", built_in, prompts[0])
        decided(log, "new", fitted, prompts[0], session="s", key_id="k")
        [piece] = stripped(log.ask, Whose(tenant="acme"))
        left = {each.decision_id: each for each in piece}
        before = {identity: log.decision(identity).decision for identity in left}
    for identity, each in left.items():
        assert len(Sketch.from_bytes(each.sketch).buckets) == 0
        assert each.context[~WORDS].tolist() == before[identity].context[~WORDS].tolist()
        assert (each.tenant, each.key_id) == (FORGOTTEN, None)
    assert np.abs(before["new"].context[WORDS]).max() > 0
    assert np.abs(left["new"].context[WORDS]).max() == 0
    assert left["old"].context.tolist() == before["old"].context.tolist()


def test_of_a_session_the_tenant_keeps_what_it_paid_for(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for n in range(PIECE + 1):
            decided(log, f"d{n:04}", Space.built_in(), sketches(1)[0], session="s", key_id="k")
        decided(log, "other", Space.built_in(), sketches(1)[0], session="t")
        pieces = list(stripped(log.ask, Whose(session="s")))
    assert [len(piece) for piece in pieces] == [PIECE, 1]
    assert {(each.tenant, each.key_id) for piece in pieces for each in piece} == {("acme", "k")}
