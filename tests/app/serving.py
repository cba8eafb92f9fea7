"""The service on a real socket, for browsers and for OpenAI's own client."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import openai
from werkzeug.serving import make_server

from tests.app.running import Running


@contextmanager
def openai_client(service: Running, **options: object) -> Iterator[openai.OpenAI]:
    """Yield the client as it comes, with the retries it makes by itself, on the service's `/v1`."""
    with (
        served(service) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", **options) as client,
    ):
        yield client


class Body:
    """A body that is closed once, also where werkzeug's server forgets to: its client has reset."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces
        self.close = finalize(self, pieces.close)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


@contextmanager
def served(service: Running) -> Iterator[str]:
    """Yield the address at which the service answers on a socket."""
    application = service.client.application

    def answering(*asked: Any) -> Body:
        return Body(application(*asked))

    server = make_server("127.0.0.1", 0, answering, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
