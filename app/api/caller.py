"""Whether a client still waits for its answer: asked while a provider keeps us waiting."""

import socket
from functools import partial

from flask import Flask, request

from upstream.deadlines import AWAITED


def install(app: Flask) -> None:
    """Let every wait of a request end when its client has gone."""
    app.before_request(_await)


def _await() -> None:
    connection = request.environ.get("gunicorn.socket")
    AWAITED.set(partial(is_there, connection) if connection is not None else _always)


def is_there(connection: socket.socket) -> bool:
    """Return whether the other side has not closed; what it has sent stays unread."""
    patience_s = connection.gettimeout()
    connection.settimeout(0)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True  # it says nothing, as a client does that waits
    except OSError:
        return False
    finally:
        connection.settimeout(patience_s)


def _always() -> bool:
    return True
