"""A disk that is full while a snapshot is saved: the old one stays, and no half of a new one."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from storage import snapshots

MARK = "0" * 16
ROOT = Path(__file__).parents[2]
PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
from storage import snapshots

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    snapshots.save(Path(sys.argv[1]), 1, 20, {"mean": np.ones(100_000)}, "0" * 16)
except OSError as error:
    print(type(error).__name__, error.errno)
"""


def test_the_snapshot_before_stays_when_there_is_no_room_for_another(tmp_path: Path) -> None:
    snapshots.save(tmp_path, 1, 10, {"mean": np.zeros(3)}, MARK)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("OSError")
    found = snapshots.newest(tmp_path, lambda _seq: MARK, 1)
    assert found is not None
    assert found.upto_seq == 10
    assert len(list(tmp_path.iterdir())) == 1
