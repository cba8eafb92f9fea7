"""A log that was copied without its -wal file: the start says that commits are missing."""

import shutil
from pathlib import Path

from structlog.testing import capture_logs

from tests.app.routing.test_live import folded, learn
from tests.app.running import Provider, running


def test_a_log_that_lacks_its_newest_commits_is_told_and_only_what_is_there_is_believed(
    tmp_path: Path, provider: Provider
) -> None:
    database, copy = tmp_path / "turnpike.db", tmp_path / "copy"
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service)
        short = service.parts.log.position()
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service)
        whole = service.parts.log.position()
        shutil.copy(database, copy)
    for path in filter(Path.is_file, tmp_path.glob("turnpike.db-*")):
        path.unlink()
    copy.replace(database)
    with capture_logs() as told, running(tmp_path, sandbox_url=provider.url) as service:
        assert service.parts.log.position() == short
        assert service.digest == folded(service)
    [line] = [each for each in told if "the log lacks" in each["event"]]
    assert (line["log_level"], f"/{whole:012d}-" in line["deleted"]) == ("error", True)
