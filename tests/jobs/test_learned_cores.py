"""The same log folded with the kernels of other processors gives the same but for rounding."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.commands.evals import import_evals
from tests.app.routing.test_live import learn
from tests.app.running import evals_table, running, sandbox

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from threadpoolctl import threadpool_info
from jobs.learned import Learned
from storage.sqlite_reader import SqliteReader

with SqliteReader(Path(sys.argv[1])) as log:
    learned = Learned.start(log.latest_policy()).fold(log.events())
np.savez(sys.argv[2], **learned.to_arrays())
print(threadpool_info()[0]["architecture"])
"""


def cores() -> list[str]:
    """Return kernels of numpy's BLAS that this machine can run."""
    if platform.machine() == "aarch64":
        return ["ARMV8", "NEOVERSEN1"]
    newest = "Haswell" if "avx2" in Path("/proc/cpuinfo").read_text().split() else "Core2"
    return ["Prescott", "Nehalem", newest]


@pytest.mark.slow
def test_the_kernels_of_other_processors_learn_the_same_to_nine_digits(tmp_path: Path) -> None:
    with sandbox() as provider, running(tmp_path, sandbox_url=provider.url) as service:
        import_evals(service.parts.settings, evals_table(tmp_path / "evals.csv"))
        learn(service)
    known, kernels = [], set()
    for core in cores():
        out = tmp_path / f"{core}.npz"
        environ = {**os.environ, "OPENBLAS_CORETYPE": core}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "turnpike.db"), str(out)]
        ended = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        kernels.add(ended.stdout)
        with np.load(out) as arrays:
            known.append(dict(arrays))
    first, *others = known
    assert len(kernels) == len(cores())
    for other in others:
        assert other.keys() == first.keys()
        for name, array in first.items():
            if array.dtype.kind == "f":
                np.testing.assert_allclose(other[name], array, rtol=1e-9, atol=1e-9, err_msg=name)
            else:
                np.testing.assert_array_equal(other[name], array, err_msg=name)
