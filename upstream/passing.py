"""An answer that is passed on as it comes: nobody here reads it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer on its way; `received` raises UpstreamError when the rest does not come.

    `close` ends the call, and does nothing when it has ended.
    """

    content_type: str
    received: Iterator[bytes]
    close: Callable[[], None]

    @property
    def is_stream(self) -> bool:
        """Return whether it comes as server-sent events."""
        return self.content_type.startswith("text/event-stream")
