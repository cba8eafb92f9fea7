"""A stored answer is given again: a decision in the log that asked nobody and costs nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.answers.cache import Visit
from app.answers.stored import said
from app.routing.answering import Answering
from app.routing.asking import Asking
from app.routing.ids import decision_id
from app.routing.live import Live
from app.routing.observed import Observed
from app.routing.turn import Completion, Ended, NoCall, Turn, completed
from policy.errors import UpstreamError
from policy.types import Arm
from storage.cache_file import StoredAnswer
from storage.records import CacheUse
from storage.spool import Durable
from upstream.catalogue import Catalogue
from upstream.recall import answer_again, stream_again


@dataclass(frozen=True, slots=True)
class Again:
    """What it takes to give an answer again; its arm must still be in the catalogue."""

    catalogue: Callable[[], Catalogue]
    log: Observed
    live: Live
    record: Callable[[Turn, Ended], Durable]
    sandbox: bool

    def complete(self, asking: Asking, stored: StoredAnswer, use: CacheUse) -> Completion:
        """Return the answer in one piece, its outcome durable.

        raises : StoreUnavailable
        """
        began_s, turn = time.monotonic(), self._turn(asking, stored, use)
        answer = answer_again(said(stored), time.monotonic() - began_s)
        completion = completed(turn, answer, len(asking.asked))
        return replace(completion, durable=self.record(turn, completion.ended))

    def stream(self, asking: Asking, stored: StoredAnswer, use: CacheUse) -> Answering:
        """Return the answer as a stream.

        raises : StoreUnavailable
        """
        turn = self._turn(asking, stored, use)
        turn.recorded.wait()
        stream = stream_again(turn.arm, asking.ask.body, said(stored))
        return Answering(asking, turn, stream, self.record)

    def _turn(self, asking: Asking, stored: StoredAnswer, use: CacheUse) -> Turn:
        started_at_s, learned = time.time(), self.live.lately
        arm = _free(self.catalogue().arms[stored.arm])
        question = asking.question(
            learned.space.context(asking.sketch),
            None,
            {},
            self.live.pacer_of(asking.holder).willingness_to_pay_usd,
        )
        decision = asking.again(decision_id(), question, learned, stored, self.sandbox)
        recorded = self.log.decide(decision, asking.prompt.text)
        return Turn(decision, arm, recorded, NoCall(), started_at_s, cache=use)


def stand_in(asking: Asking, visit: Visit, error: UpstreamError) -> StoredAnswer:
    """Return an older answer instead of the error; a request that is wrong stays wrong.

    raises : the error itself where there is none
    """
    stored = None if asking.is_final else visit.stale()
    if stored is None:
        raise error
    return stored


def _free(arm: Arm) -> Arm:
    """Return the arm at no price: what it has answered once costs nothing to say again."""
    return replace(
        arm,
        input_usd_per_mtok=0.0,
        output_usd_per_mtok=0.0,
        cached_input_usd_per_mtok=0.0,
        cache_write_usd_per_mtok=0.0,
    )
