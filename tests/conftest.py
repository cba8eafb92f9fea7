"""A PostgreSQL server for every test that asks for one: started once, a schema for each test."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from storage.postgres_server import FORGETFUL, PostgresServer, opened_folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for a server of this test's own."""
    with opened_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Where the server is: TEST_DATABASE_URL, or one of our own for this run."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given is not None:
        yield given
        return
    with opened_folder() as folder, PostgresServer(folder / "postgres", FORGETFUL) as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of this test's own: a schema that is dropped afterwards."""
    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')
    yield f"{postgres_server}?options={quote(f'-c search_path={schema}')}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
