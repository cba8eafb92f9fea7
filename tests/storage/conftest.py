"""The stores every test of the contract runs on, each behind the same protocol."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.log import Log
from storage.postgres_log import PostgresLog
from storage.sqlite_log import SqliteLog

OpenLog = Callable[[], Log]


@pytest.fixture(params=["sqlite", "postgres"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLog:
    """Open the same log again and again, as restarts of the service do."""
    if request.param == "sqlite":
        return lambda: SqliteLog(tmp_path / "turnpike.db")
    url = request.getfixturevalue("postgres_url")
    return lambda: PostgresLog(url)


@pytest.fixture
def log(open_log: OpenLog) -> Iterator[Log]:
    with open_log() as log:
        yield log
