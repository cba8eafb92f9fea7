"""The service on a real socket, with OpenAI's own client before it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import openai
from werkzeug.serving import make_server

from tests.app.running import Running


@contextmanager
def openai_client(service: Running, **options: object) -> Iterator[openai.OpenAI]:
    """Yield the client as it comes, with the retries it makes by itself, on the service's `/v1`."""
    server = make_server("127.0.0.1", 0, service.client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        with openai.OpenAI(base_url=url, api_key="none", **options) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
