"""A file of SQLite's that cannot be read is a store that is away, told in a line."""

from pathlib import Path

import pytest

from policy.errors import StoreUnavailable
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.storage.filling import round_of

PAGE_BYTES = 4096


def test_a_damaged_file_is_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "turnpike.db"
    with SqliteLog(path) as log:
        round_of(log, "a")
    with SqliteReader(path) as reader:
        [root] = reader.ask("SELECT rootpage FROM sqlite_schema WHERE name = 'decisions'", {})
        with path.open("r+b") as file:
            file.seek((root["rootpage"] - 1) * PAGE_BYTES)
            file.write(bytes([255]) * PAGE_BYTES)
    with SqliteReader(path) as reader, pytest.raises(StoreUnavailable, match="malformed"):
        reader.ask("SELECT * FROM decisions", {})
