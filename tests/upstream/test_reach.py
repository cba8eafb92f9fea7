"""Whether a provider answers, and whether it takes the key, asked over real sockets."""

import socket
import threading

from upstream.catalogue import Provider
from upstream.provider import Reply, serve
from upstream.reach import reach


def test_a_provider_that_is_there_answers():
    serving = serve(lambda model, body: Reply("x", 1, 1), lambda: ["m"])
    try:
        reached = reach(Provider("p", serving.url, None), {})
    finally:
        serving.close()
    assert (reached.answers, reached.refuses) == (True, False)


def test_a_closed_port_does_not_answer_and_no_key_is_repeated():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    provider = Provider("p", f"http://127.0.0.1:{port}/v1", "SOME_KEY")
    reached = reach(provider, {"SOME_KEY": "sk-very-secret"}, within_s=1.0)
    assert not reached.answers
    assert "secret" not in reached.says


def test_a_refused_key_is_told_from_a_provider_that_is_away():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        seen = []

        def refuse():
            connection, _ = listening.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        reached = reach(Provider("p", f"http://127.0.0.1:{port}/v1", "KEY"), {"KEY": "sk-1"})
        thread.join()
    assert (reached.answers, reached.refuses) == (True, True)
    assert b"Bearer sk-1" in seen[0]
