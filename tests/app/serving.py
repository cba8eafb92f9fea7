"""The service on a real socket, for browsers and for OpenAI's own client."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def served(service: Running) -> Iterator[str]:
    """Yield the address at which the service answers on a socket."""
    server = make_server("127.0.0.1", 0, service.client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
