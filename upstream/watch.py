"""The catalogue as its file says now; while the file is wrong, as it last said rightly."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from policy.errors import ConfigError
from upstream.catalogue import Catalogue, load

LOOK_EVERY_S = 0.5


class CatalogueFile:
    """A catalogue that follows its file; safe to ask from many threads.

    `error` says what is wrong with the file now, or is None; meanwhile the last good one is in use.
    `agree` raises ConfigError for a catalogue that is right by itself and cannot be used here.
    `tell` is called with the error when it changes, and with None once there is none any more.

    raises : ConfigError when the file is wrong already at the start
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        look_every_s: float = LOOK_EVERY_S,
        agree: Callable[[Catalogue], None] = lambda _catalogue: None,
        tell: Callable[[str | None], None] = lambda _error: None,
    ) -> None:
        self.path = path
        self.error: str | None = None
        self._clock, self._look_every_s = clock, look_every_s
        self._agree, self._tell = agree, tell
        self._lock = threading.Lock()
        self._seen = self._state()
        self._catalogue = self._read()
        self._look_at = clock() + look_every_s

    def current(self) -> Catalogue:
        """Return the newest catalogue without mistakes."""
        if self._clock() >= self._look_at:
            with self._lock:
                self._look()
        return self._catalogue

    def _look(self) -> None:
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + self._look_every_s
        # The state is taken before the text: a change in between is then seen at the next look.
        state = self._state()
        if state == self._seen:
            return
        self._seen, before = state, self.error
        try:
            self._catalogue, self.error = self._read(), None
        except ConfigError as error:
            self.error = error.message
        if self.error != before:
            self._tell(self.error)

    def _read(self) -> Catalogue:
        catalogue = load(self.path)
        self._agree(catalogue)
        return catalogue

    def _state(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None  # a missing file differs from any file, so `load` gets to say what is wrong
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
