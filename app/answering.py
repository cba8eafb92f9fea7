"""A streamed answer on its way to the client: however it ends, the log knows before the client."""

from collections.abc import Callable, Iterator

from app.turn import Completion, Ended, Turn, ok_or_filtered
from policy.errors import UpstreamError, UpstreamTimeout
from storage.records import OutcomeStatus
from upstream.stream import Chunk, Stream


class Answering:
    """Iterate for the text or `chunks()`, then ask for the completion; close it in any case."""

    def __init__(
        self,
        turn: Turn,
        stream: Stream,
        record: Callable[[Turn, Ended], None],
        attempts: int,
    ) -> None:
        self.turn = turn
        self.attempts = attempts
        self._stream = stream
        self._record = record
        self._texts: list[str] = []
        self._recorded = False

    def __iter__(self) -> Iterator[str]:
        """Yield the pieces of text.

        raises : UpstreamError if the rest does not come, once that is in the log
        """
        return (chunk.text for chunk in self.chunks() if chunk.text)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the provider's frames, which say more than the text.

        raises : UpstreamError if the rest does not come, once that is in the log
        """
        try:
            for chunk in self._stream:
                self._texts.append(chunk.text)
                yield chunk
        except UpstreamError as error:
            self._end(
                "timeout" if isinstance(error, UpstreamTimeout) else "truncated_upstream", error
            )
            raise
        self._end(ok_or_filtered(self._stream.finish_reason))

    @property
    def completion(self) -> Completion:
        """Return the whole answer, after the last piece."""
        ended = self._ended(ok_or_filtered(self._stream.finish_reason), None)
        return Completion(self.turn, ended, "".join(self._texts), self.attempts)

    def close(self) -> None:
        """Stop the provider; an answer that nobody waits for any more is recorded as such."""
        self._stream.close()
        if not self._recorded:
            self._end("client_gone")

    def _end(self, status: OutcomeStatus, error: UpstreamError | None = None) -> None:
        self._recorded = True
        self._record(self.turn, self._ended(status, error))

    def _ended(self, status: OutcomeStatus, error: UpstreamError | None) -> Ended:
        stream = self._stream
        return Ended(
            status=status,
            usage=stream.usage,
            latency_s=stream.latency_s,
            ttft_s=stream.ttft_s,
            finish_reason=stream.finish_reason,
            model=stream.model,
            error=error,
        )
