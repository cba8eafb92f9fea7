"""Whether a provider answers, and whether it takes the key, asked over real sockets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from upstream.catalogue import Provider
from upstream.provider import serve
from upstream.reach import reach
from upstream.replies import Reply
from upstream.transport import _trust

SECRET = {"KEY": "sk-very-secret"}


@contextmanager
def saying(answer: bytes) -> Iterator[tuple[Provider, list[bytes]]]:
    """Yield a provider that says these bytes to whoever connects, and what it was sent."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # the listener is shut down
                    return
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        yield Provider("p", url, "KEY"), seen
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def plain(status: str, *headers: str, body: bytes = b"") -> bytes:
    """Return an answer; without a body it has none."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def test_a_provider_that_is_there_answers() -> None:
    with serve(lambda model, body: Reply("x", 1, 1), lambda: ["m"]) as serving:
        reached = reach(Provider("p", serving.url, None), {})
        assert reached == reach(Provider("p", f"{serving.url}/", None), {})
    assert (reached.status, reached.refuses, reached.fails) == (200, False, False)


def test_a_closed_port_does_not_answer_and_no_key_is_repeated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    reached = reach(Provider("p", f"http://127.0.0.1:{port}/v1", "KEY"), SECRET)
    assert (reached.status, reached.fails) == (None, True)
    assert reached.says.startswith("cannot be reached: [Errno ")
    assert reached.says.endswith("Connection refused")


def test_a_refused_key_is_told_from_a_provider_that_is_away() -> None:
    with saying(plain("401 No")) as (provider, seen):
        reached = reach(provider, {"KEY": "sk-1"})
    assert (reached.status, reached.refuses, reached.fails) == (401, True, False)
    assert b"Bearer sk-1" in seen[0]


@pytest.mark.parametrize(
    ("location", "whither"),
    [
        ("{there}/v1/models?user=ann", "{there}"),
        ("https://ann:word@host.invalid/x", "https://host.invalid"),
        ("/elsewhere", "{here}"),
        ("https://[", "no address"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(status: int, location: str, whither: str) -> None:
    with saying(plain("200 OK")) as (other, seen_there):
        there = other.base_url.removesuffix("/v1")
        answer = plain(f"{status} Over there", f"Location: {location.format(there=there)}")
        with saying(answer) as (provider, seen):
            reached = reach(provider, SECRET)
    assert (len(seen), seen_there) == (1, [])
    assert (reached.status, reached.fails) == (status, True)
    whither = whither.format(there=there, here=provider.base_url.removesuffix("/v1"))
    assert reached.says == f"answers with a redirect to {whither} ({status})"


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9\r\n", b"", b"HTTP/1.1 200 OK\r\nCont"])
def test_what_speaks_no_http_cannot_be_reached(answer: bytes) -> None:
    with saying(answer) as (provider, _):
        reached = reach(provider, SECRET)
    assert reached.fails
    assert reached.says.startswith("cannot be reached: ")


def test_a_provider_is_asked_without_the_proxy_that_no_call_takes(monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused.getsockname()[1]}")
    with saying(plain("200 OK")) as (provider, seen):
        assert reach(provider, SECRET).status == 200
    assert seen[0].startswith(b"GET /v1/models HTTP/1.1")


@pytest.mark.parametrize("key", ["hunter2\r\nX-More: 1", "a key and its name"])
def test_a_key_that_is_none_is_told_and_sent_nowhere(key: str) -> None:
    with saying(plain("200 OK")) as (provider, seen):
        reached = reach(provider, {"KEY": key})
    assert seen == []
    assert "KEY holds 18 characters with one among them that no key has" in reached.says


@pytest.mark.parametrize(("name", "why"), [("nowhere", "No such file or directory"), ("empty", "")])
def test_a_file_of_certificates_that_has_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    (tmp_path / "empty").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    _trust.cache_clear()
    found = reach(Provider("p", "https://127.0.0.1:1/v1"), {})
    assert found.status is None
    assert f"SSL_CERT_FILE is '{tmp_path / name}': {why}" in found.says
    assert "it must name a file of the certificates to trust, in PEM" in found.says
