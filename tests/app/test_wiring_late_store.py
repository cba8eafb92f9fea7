"""A service that is started before its store waits for it."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from storage.postgres_server import FORGETFUL, PostgresServer
from tests.app.running import Provider, eventually, running


@pytest.mark.slow
def test_g4_a_store_that_comes_later_is_waited_for_and_said_to_be(
    open_folder: Path, tmp_path: Path, provider: Provider
) -> None:
    server = PostgresServer(open_folder / "postgres", FORGETFUL)
    dials = {"sandbox_url": provider.url, "database": server.url, "data": tmp_path}
    with capture_logs() as told:

        def start_late() -> None:
            if eventually(lambda: any("waited for" in line["event"] for line in told), 60):
                server.start()

        starting = threading.Thread(target=start_late, daemon=True)
        starting.start()
        try:
            with running(tmp_path, **dials) as service:
                starting.join()  # a server outlives the thread that has started it
                assert service.client.get("/readyz").status_code == 200
                assert service.rate(service.ask()["id"])["status"] == "recorded"
        finally:
            server.stop()
    assert told[0]["event"] == "the log is waited for"
    assert "cannot be" in told[0]["reason"]
