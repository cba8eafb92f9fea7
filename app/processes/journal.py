"""The lines of our processes: JSON on standard error, at the level that is set.

No line holds a key or a word of a prompt. Keys are taken out by value and by shape. Of an error
that could quote what it was given, a provider's or one that we did not expect, only its kind and
the place are told.
"""

import json
import logging
import os
import re
import select
import sys
from collections.abc import Mapping, MutableMapping
from traceback import format_tb
from types import TracebackType
from typing import Any, TextIO

import structlog
from gevent.monkey import get_original

from policy.errors import InvalidInput, TurnpikeError, UpstreamError
from upstream.redact import without

NAMED_LIKE_SECRETS = re.compile(r"(?i)(?:key|token|secret|password|dsn|headers)$")
HAS_PASSWORD = re.compile(r"(?i)://[^/@]*:[^/]*@|password=")
SHORTEST_SECRET = 8
AT_ONCE = select.PIPE_BUF
"""A pipe that takes anything takes so many bytes."""
# Their messages are about our code, the disk or the machine, never about what was asked.
TELL_NO_TALES = (
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    NameError,
    TypeError,
    TurnpikeError,
)
MAY_QUOTE = (UpstreamError, InvalidInput, KeyError)

LogLine = MutableMapping[str, Any]


def write_lines(level: str, environ: Mapping[str, str] = os.environ) -> None:
    """Write JSON lines to standard error; control characters cannot break them."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_place,
            _Redacting(secrets(environ)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(Unhurried(sys.stderr)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


def told(error: TurnpikeError) -> dict[str, Any]:
    """Return what a line may say of one of our errors: a provider's words may be the prompt's.

    >>> told(UpstreamError("a: the provider answered 500: you said 'hello'", arm="a"))
    {'code': 'upstream_bad_response', 'arm': 'a', 'http_status': None}
    """
    if isinstance(error, UpstreamError):
        return {"code": error.code, "arm": error.arm, "http_status": error.http_status}
    return {"code": error.code, "message": error.message}


def secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the environment that are secrets by the names of their variables.

    The place of a database is one only where it holds a password.

    >>> secrets({"GLOBAL_API_KEY": "sk-0123456789", "USER": "ann-marie", "MY_KEY": "a"})
    ('sk-0123456789',)
    >>> secrets({"MY_DATABASE": "data/turnpike.db", "DATABASE": "postgresql://ann:pw@db/turnpike"})
    ('postgresql://ann:pw@db/turnpike',)
    """
    named = (
        value
        for name, value in environ.items()
        if NAMED_LIKE_SECRETS.search(name)
        or (name.upper().endswith("DATABASE") and HAS_PASSWORD.search(value))
    )
    return tuple(value for value in named if len(value) >= SHORTEST_SECRET)


class Unhurried:
    """A file for lines of ASCII: whoever has stopped to read it holds up nobody.

    What it does not take at once is lost, and before the next line stands how many were.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._begun = ""
        self._lost = 0
        self._is_torn = False

    def write(self, part: str) -> None:
        """Add a part of a line, which is written with its end."""
        self._begun += part
        if part.endswith("\n"):
            line, self._begun = self._begun, ""
            self._write(line)

    def flush(self) -> None:
        """Return at once: each line has been flushed."""

    def _write(self, line: str) -> None:
        if self._lost:
            event = "lines were lost, because nobody took them"
            told = json.dumps({"event": event, "lines": self._lost, "level": "warning"})
            line = f"{told}\n{line}"
        line = "\n" * self._is_torn + line
        for start in range(0, len(line), AT_ONCE):
            if not self._takes():
                self._lost = 1 if start else self._lost + 1
                self._is_torn = self._is_torn or start > 0
                return
            self._file.write(line[start : start + AT_ONCE])
            self._file.flush()
        self._lost, self._is_torn = 0, False

    def _takes(self) -> bool:
        try:
            waiting = get_original("select", "poll")()
            waiting.register(self._file.fileno(), select.POLLOUT)
        except OSError:  # no file of the system's
            return True
        return bool(waiting.poll(0))


class _Redacting:
    """Takes secrets out of every value of a line."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def __call__(self, _logger: object, _method: str, line: LogLine) -> LogLine:
        for name, value in line.items():
            if not isinstance(value, int | float | None):
                line[name] = without(str(value), self._known)
        return line


def _with_place(_logger: object, _method: str, line: LogLine) -> LogLine:
    """Replace an exception by its kind and the lines of code it passed, its cause first."""
    given = line.pop("exc_info", None)
    error = sys.exception() if given is True else given
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line["exception"] = "\n".join(_chain(error))
    return line


def _chain(error: BaseException) -> list[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [*(_chain(before) if before is not None else []), _one(error, error.__traceback__)]


def _one(error: BaseException, trace: TracebackType | None) -> str:
    kind = type(error)
    tells = isinstance(error, TELL_NO_TALES) and not isinstance(error, MAY_QUOTE)
    tells = tells or kind.__module__ == "sqlite3"
    said = f": {error}" if tells else ""
    return f"{''.join(format_tb(trace))}{kind.__module__}.{kind.__qualname__}{said}"
