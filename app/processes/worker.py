"""gunicorn's worker as we need it at its end: it drains before it stops to listen.

On SIGTERM new requests are refused in words, what is under way may finish, and what does not finish
in time is cut off by the requests themselves, each with its rows. Only then is gunicorn's own end
begun, which knows nothing of rows. Connections that only wait for a next request are closed.
"""

import gc
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from contextlib import closing, suppress
from http import HTTPStatus
from threading import TIMEOUT_MAX
from time import monotonic
from types import FrameType
from typing import Any

import gevent
import gevent.event
from gevent.monkey import get_original
from gunicorn import glogging
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from app.processes.loop import in_turns, keep_locks

LOOK_EVERY_S = 0.1
YOUNG = 10_000
"""So many objects are made before garbage is looked for among them: those of a few requests."""
real_sleep = get_original("time", "sleep")
real_socket = get_original("socket", "socket")
# Of a thread beside the loop that ends, its own loop is left in memory for good: so they stay.
gevent.config.threadpool_idle_task_timeout = TIMEOUT_MAX
TAKEN_WITHIN_S = 60.0
"""A client that takes nothing of its answer for so long is left."""
READ_ON_S = 30.0
"""How long after its headers a body is read that was answered before it was whole."""
WRITTEN_WITHIN_S, KILLED_WITHIN_S = 4.0, 2.0
"""How long requests that were cut off may take to write their rows and their last words."""
REFUSED = {
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
"""What gunicorn does not read, and how that is told; all else is a bad request."""


class Lines(logging.Handler):
    """Writes the lines of gunicorn, and of libraries that log as it does, like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, and of an exception what may be told."""
        import structlog  # not before it is needed: who starts the workers has nothing else to tell

        from app.processes.journal import write_lines

        if not structlog.is_configured():
            write_lines("warning")
        with suppress(OSError):  # nobody reads what we write: that ends no process
            line = structlog.get_logger()
            line.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


class Logger(glogging.Logger):  # type: ignore[misc]
    """What gunicorn says, in lines like ours; nothing is written of a request that went well."""

    def setup(self, cfg: Any) -> None:
        """Write lines as ours, also those of libraries."""
        super().setup(cfg)
        self.error_log.handlers = [Lines()]
        logging.getLogger().handlers = [Lines()]


class Worker(GeventWorker):  # type: ignore[misc]
    """One process that serves; `idle` are the connections without a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle: set[socket.socket] = set()
        self.under_way: set[gevent.Greenlet] = set()
        self._ends = False

    def patch(self) -> None:
        """Have what waits leave the loop to others, and be woken through it."""
        super().patch()
        keep_locks()

    def load_wsgi(self) -> None:
        """Load the application, which may take longer than a silent worker is allowed to live."""
        loaded = gevent.event.Event()
        gevent.get_hub().threadpool.spawn(self._say_alive, loaded)
        try:
            super().load_wsgi()
        finally:
            loaded.set()
        # Two dozen are read for each request, which gunicorn looks up anew by name each time.
        settings = self.cfg.settings.items()
        self.cfg.__dict__.update({name: each.get() for name, each in settings})
        gc.collect()
        gc.freeze()  # what is there now stays: nobody needs to look through it for garbage
        gc.set_threshold(YOUNG)

    def _say_alive(self, loaded: gevent.event.Event) -> None:
        """Tell the master every second; on a thread, because a long fold holds up the loop."""
        while not loaded.is_set():
            self.tmp.notify()
            real_sleep(1.0)

    def notify(self) -> None:
        """Tell the master that we live; one that can record nothing any more makes room."""
        super().notify()
        if not self._ends and self.wsgi.extensions["turnpike"].log.standing.is_stopped:
            self.log.error("nothing can be recorded any more: another worker takes over")
            self.handle_exit(signal.SIGTERM, None)

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection until it ends."""
        self.idle.add(client)
        try:
            super().handle(listener, client, addr)
        finally:
            self.idle.discard(client)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> Any:
        """Serve one request; the connection is closed after it when the service ends."""
        self.idle.discard(sock)
        greenlet = gevent.getcurrent()
        self.under_way.add(greenlet)
        sock.settimeout(TAKEN_WITHIN_S)
        read_until_s = monotonic() + READ_ON_S
        try:
            goes_on = super().handle_request(listener_name, req, sock, addr)
        except TimeoutError:
            self.log.warning("a client took nothing of its answer for %s s", TAKEN_WITHIN_S)
            raise StopIteration from None
        finally:
            self.under_way.discard(greenlet)
            with suppress(OSError):
                sock.settimeout(None)
            self.idle.add(sock)
        self._read_on(req, read_until_s)
        return goes_on

    def _read_on(self, req: Any, until_s: float) -> None:
        """Let others be served, and read what is left of a body; one without end is hung up on.

        raises : StopIteration, which closes the connection
        """
        gevent.sleep(0)  # who sends the next request before this one is answered never waits
        left_s = max(until_s - monotonic(), 0.0)
        with gevent.Timeout(left_s, False), suppress(errors.ParseException):
            deque(in_turns(req.body.read, sys.maxsize), maxlen=0)
            return
        raise StopIteration

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what is no request that can be read as every error is, quoting none of it."""
        if req is not None or not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        from app.api.errors import REQUEST_ID, named, unreadable  # not before a worker is forked

        identity, status = named(), REFUSED.get(type(exc), HTTPStatus.BAD_REQUEST)
        self.log.warning("a request was refused with %d: %s", status, type(exc).__name__)
        body = json.dumps(unreadable(status, self._limit(status)))
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        head += f"{REQUEST_ID}: {identity}\r\n"
        told = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        with suppress(OSError):
            client.sendall(told.encode())

    def _limit(self, status: HTTPStatus) -> str | None:
        """Return what would have been short enough, where a request was too long to be read."""
        if status == HTTPStatus.REQUEST_URI_TOO_LONG:
            return f"it must have at most {self.cfg.limit_request_line} bytes"
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            most, each = self.cfg.limit_request_fields, self.cfg.limit_request_field_size
            return f"there must be at most {most}, each of at most {each} bytes"
        return None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, beside what is under way; at once while there is nothing yet to serve."""
        if getattr(self, "wsgi", None) is None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
            # Whoever is making it closes what is open; a thread would end alone, and in silence.
            gevent.get_hub().handle_system_error(SystemExit, SystemExit())
        else:
            self._ends = True
            gevent.spawn(self._end)

    def _end(self) -> None:
        """Refuse what is new, wait for what is under way, then let gunicorn end."""
        running = self.wsgi.extensions["turnpike"]
        within_s = running.settings.drain_s
        running.drain.begin(within_s)
        with gevent.Timeout(within_s + WRITTEN_WITHIN_S, False):
            while self.under_way:
                gevent.sleep(LOOK_EVERY_S)
        # Who is left waits for a client that takes nothing; being killed, it writes its rows.
        gevent.killall(list(self.under_way), timeout=KILLED_WITHIN_S)
        self.alive = False
        for each in list(self.idle):
            # Whoever reads from it finds its end; gevent's own shutdown would let that fail.
            with suppress(OSError), closing(real_socket(fileno=os.dup(each.fileno()))) as same:
                same.shutdown(socket.SHUT_RD)
