"""A service that starts while its store is away waits for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import wiring
from app.keys.keyring import Keyring
from storage.postgres_server import FORGETFUL, PostgresServer
from tests.app.running import Provider, eventually, running


@pytest.fixture
def server(open_folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(open_folder / "postgres", FORGETFUL)
    yield server
    server.stop()


@contextmanager
def started_once_waited_for(server: PostgresServer) -> Iterator[list[Any]]:
    """Yield what the service says; the server comes once it has said that it waits."""
    with capture_logs() as told:

        def start_late() -> None:
            if eventually(lambda: any("waited for" in line["event"] for line in told), 60):
                server.start()

        starting = threading.Thread(target=start_late, daemon=True)
        starting.start()
        yield told
        starting.join()


def serves(tmp_path: Path, server: PostgresServer, provider: Provider) -> bool:
    """Return whether a service starts, and answers and learns."""
    dials = {"sandbox_url": provider.url, "database": server.url, "data": tmp_path}
    with running(tmp_path, **dials) as service:
        assert service.client.get("/readyz").status_code == 200
        return bool(service.rate(service.ask()["id"])["status"] == "recorded")


@pytest.mark.slow
def test_g4_a_store_that_comes_later_is_waited_for_and_said_to_be(
    server: PostgresServer, tmp_path: Path, provider: Provider
) -> None:
    with started_once_waited_for(server) as told:
        assert serves(tmp_path, server, provider)
    assert told[0]["event"] == "the log is waited for"
    assert "cannot be" in told[0]["reason"]


@pytest.mark.slow
def test_a_store_that_goes_away_while_a_service_starts_is_waited_for(
    server: PostgresServer, tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    crash = iter([signal.SIGQUIT])

    def keyring(*given: Any) -> Keyring:
        for how in crash:
            server.stop(how)
        return Keyring(*given)

    monkeypatch.setattr(wiring, "Keyring", keyring)
    with started_once_waited_for(server) as told:
        assert serves(tmp_path, server, provider)
    assert any(line["event"] == "the log is waited for" for line in told)
