"""What another program hands over is refused in words, and the writer goes on to the next."""

import numpy as np
import pytest

from policy.errors import InvalidInput
from storage.keys import Revocation
from storage.latest import Latest
from storage.log import Log
from storage.recorder import HandoverRow
from storage.records import Fence
from storage.words import Expiry, Stripped
from tests.storage.rounds import DECISION, EVAL, NOON_S, but
from tests.storage.test_keys import KEY

STRIPPED = Stripped(decision_id="d", tenant="acme", key_id=None, sketch=b"", context=np.ones(3))
STRANGE: dict[str, tuple[HandoverRow, str]] = {
    "a key that is none": (Revocation(key_id="nope", at_s=NOON_S), "no key 'nope' to revoke"),
    "what cannot expire": (but(Expiry(decision_id="d", what="text"), what="comment"), "'comment'"),
    "a token that is none": (but(Fence(name="retrain", token=1), token="abc"), "'abc' is shown"),
    "a version that is none": (
        but(Latest(name="report", at_s=NOON_S, version=1, body={}), version="new"),
        "latest cannot be recorded",
    ),
    "nobody's": (but(STRIPPED, tenant=None), "stripped cannot be recorded"),
}


@pytest.mark.parametrize(("strange", "said"), STRANGE.values(), ids=STRANGE)
def test_what_cannot_be_received_is_refused_and_the_writer_goes_on(
    log: Log, strange: HandoverRow, said: str
) -> None:
    log.decide(DECISION).wait()
    log.lease("retrain", "ann", 60.0)
    with pytest.raises(InvalidInput, match=said):
        log.receive("strange", "job", NOON_S, [EVAL, strange]).wait()
    assert log.position() == 0
    assert log.receive("good", "job", NOON_S, [EVAL]).wait()


def test_a_name_of_another_type_than_text_keeps_nothing_else_out(log: Log) -> None:
    """SQLite compares anything with anything, PostgreSQL does not: both go on."""
    for n, each in enumerate((but(KEY, name=7), Expiry(decision_id=7, what="text"))):  # type: ignore[arg-type]
        try:
            log.receive(f"strange {n}", "job", NOON_S, [each]).wait()
        except InvalidInput as error:
            assert "cannot be recorded" in error.message  # noqa: PT017
    assert log.receive("good", "job", NOON_S, [EVAL]).wait()
