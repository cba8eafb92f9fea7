"""A disk that fails to flush stops the log for good: what it was given may be gone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.traced import can_trace

ROOT = Path(__file__).parents[2]

WRITES = """
import json, sys
from pathlib import Path
from policy.errors import StoreUnavailable
from storage.spool import Spooling
from storage.sqlite_log import SqliteLog
from tests.storage.filling import round_of

log, told = SqliteLog(Path(sys.argv[1]), spooling=Spooling(65_536)), []
for n in range(30):
    try:
        told.append(round_of(log, f"d{n}")[0])
    except StoreUnavailable as error:
        told.append(error.message)
print(json.dumps([told, log.standing.is_stopped]), flush=True)
"""


@pytest.mark.slow
def test_after_a_flush_that_failed_nothing_is_acknowledged(tmp_path: Path) -> None:
    if not can_trace():
        return
    inject = ["strace", "-f", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=12"]
    command = [*inject, sys.executable, "-c", WRITES, str(tmp_path / "turnpike.db")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told, is_stopped = json.loads(ended.stdout.splitlines()[-1])
    assert is_stopped
    stopped = next(n for n, each in enumerate(told) if each != "log")
    assert 0 < stopped < 30
    assert all("restart the service" in each or "closed" in each for each in told[stopped:])
