"""A version that only lists more arms starts from what was known, as if the log had been folded."""

from dataclasses import replace

import numpy as np

from app.routing.listing import relisted
from features.fit import fit
from features.sketch import Sketch
from jobs.learned import Learned
from policy.hyper import Hyper
from storage.snapshots import digest
from tests.jobs.test_learned import HYPER, SPACE, TEXTS, learned, rated, sketch

LISTED = replace(HYPER, listed={"new": 30.0})
EVENTS = [rated(n + 1, TEXTS[n % 4], n % 2) for n in range(12)]


def under(hyper: Hyper) -> Learned:
    return Learned.under(2, SPACE, hyper)


def test_what_is_known_goes_over_as_the_log_would_give_it() -> None:
    found = relisted(learned(*EVENTS), under(LISTED), 13)
    assert found is not None
    assert (found.policy_version, found.upto_seq, found.hyper) == (2, 13, LISTED)
    later = rated(14, TEXTS[1], 1.0, arm="new")
    whole = under(LISTED).fold([*EVENTS, later])
    assert digest(found.fold([later]).to_arrays()) == digest(whole.to_arrays())
    context, arms = SPACE.encoded(sketch(TEXTS[0])), (EVENTS[0].arm, "new", "unlisted")
    said = found.fold([later]).beliefs.quality.predict(context, arms)
    np.testing.assert_array_equal(said.mean, whole.beliefs.quality.predict(context, arms).mean)


def test_it_is_folded_where_an_arm_of_those_listed_is_known() -> None:
    listed = replace(HYPER, listed={EVENTS[0].arm: 30.0})
    assert relisted(learned(*EVENTS), under(listed), 13) is None


def test_it_is_folded_where_more_than_list_prices_differs() -> None:
    assert relisted(learned(*EVENTS), under(replace(LISTED, hints={"new": 0.9})), 13) is None
    texts = [f"{text} {n}" for n in range(6) for text in TEXTS]
    other = fit([Sketch.from_bytes(sketch(text)) for text in texts], 2)
    assert relisted(learned(*EVENTS), Learned.under(2, other, LISTED), 13) is None
