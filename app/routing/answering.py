"""A streamed answer on its way to the client: however it ends, the log knows before the client.

An answer that breaks off after its first content may be continued by another arm, or begun anew if
only thoughts have come. The client sees one answer under the id of the first decision; the log has
both decisions with what each cost.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NoReturn

from app.answers.cache import Visit
from app.routing.asking import Asking
from app.routing.turn import Completion, Ended, Turn, broken_off, given_up, joined, least, streamed
from policy.errors import NoEligibleArm, UpstreamError
from storage.records import OutcomeStatus
from storage.spool import Durable
from upstream.answers import says_more
from upstream.stream import Chunk, Stream

GoOn = Callable[[Turn, UpstreamError, str], tuple[Turn, Stream]]


class Answering:
    """Iterate for the text or `chunks()`, then ask for the completion; close it in any case.

    `durable` tells where all is recorded that is by now: the decision first, at the end all of it.

    `go_on` asks another arm for the rest; None where an answer that breaks off ends with its error.
    """

    def __init__(
        self,
        asking: Asking,
        turn: Turn,
        stream: Stream,
        record: Callable[[Turn, Ended], Durable],
        go_on: GoOn | None = None,
        visit: Visit | None = None,
    ) -> None:
        self.turn = turn
        self.durable = turn.recorded.durable
        self._asking = asking
        self._asked = turn
        self._stream = stream
        self._record = record
        self._go_on = go_on
        self._visit = visit
        self._texts: list[str] = []
        self._began = 0
        self._broken: list[tuple[Turn, Ended]] = []
        self._recorded = False
        self._says_more = False

    def __iter__(self) -> Iterator[str]:
        """Yield the pieces of text.

        raises : UpstreamError if the rest does not come, once that is in the log
        """
        return (chunk.text for chunk in self.chunks() if chunk.text)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the provider's frames, which say more than the text.

        raises : UpstreamError if the rest does not come, once that is in the log
        """
        is_whole = False
        try:
            while not is_whole:
                try:
                    yield from self._rest()
                    is_whole = True
                except UpstreamError as error:
                    self._continue(error)
        except Exception as error:
            if not self._recorded:
                self._stream.close()
                self._end(given_up(error))
            raise
        self._end()
        if self._visit is not None and not self._says_more:
            self._visit.keep(self.completion)

    @property
    def attempts(self) -> int:
        """Return how many arms have been asked."""
        return self._asking.attempts - int(self.turn.cache != "miss")

    @property
    def completion(self) -> Completion:
        """Return the whole answer, after the last piece."""
        parts = [*self._broken, (self._asked, streamed(self._stream))]
        return replace(joined(parts, self._text(), self.attempts), durable=self.durable)

    def close(self) -> None:
        """Stop the provider; an answer that nobody waits for any more is recorded as such."""
        try:
            self._stream.close()
            if not self._recorded:
                self._end("client_gone")
        finally:
            if self._visit is not None:
                self._visit.leave()

    def _rest(self) -> Iterator[Chunk]:
        before = self._text() if self._broken else ""
        for chunk in self._stream:
            if self._broken:
                chunk = chunk.going_on(before)
                before = "" if chunk.text else before
            self._texts.append(chunk.text)
            self._says_more = self._says_more or says_more(chunk.data)
            yield chunk

    def _continue(self, error: UpstreamError) -> None:
        """Go on with another arm; where none can, record the end and raise the error."""
        text = self._text() if self._text().strip() else ""
        may_go_on = not text or self._asking.ask.is_free_text
        if self._go_on is None or not self._stream.is_plain_text or not may_go_on:
            self._break(error)
        try:
            asked, stream = self._go_on(self._asked, error, text)
        except (NoEligibleArm, UpstreamError):
            self._break(error)
        try:
            ended = self._end("continued", error)
            self._broken.append((self._asked, ended))
            self._says_more = self._says_more or bool(ended.message)  # its thoughts
        finally:
            self._asked, self._stream, self._recorded = asked, stream, False

    def _break(self, error: UpstreamError) -> NoReturn:
        self._end(broken_off(error), error)
        raise error

    def _end(
        self, status: OutcomeStatus | None = None, error: UpstreamError | None = None
    ) -> Ended:
        self._recorded = True
        ended = replace(streamed(self._stream, status, error), text=self._text(self._began))
        self._began = len(self._texts)
        self.durable = least(self.durable, self._record(self._asked, ended))
        return ended

    def _text(self, begun: int = 0) -> str:
        return "".join(self._texts[begun:])
