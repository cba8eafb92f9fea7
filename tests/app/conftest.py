"""A service with the sandbox behind it: one for each test, or one for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.running import Provider, Running, running, sandbox


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with sandbox() as serving:
        yield serving


@pytest.fixture
def service(tmp_path: Path, provider: Provider) -> Iterator[Running]:
    with running(tmp_path, sandbox_url=provider.url) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    """For tests that leave the service as they found it, or do not mind what others left."""
    with running(tmp_path_factory.mktemp("shared"), sandbox_url=provider.url) as made:
        yield made
