"""What `./run` does before there is Python: .venv is made, also where somebody broke that off."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_venv_that_was_only_begun_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".boot").mkdir()
    (tmp_path / ".boot" / "uv").symlink_to(ROOT / ".boot" / "uv")
    (tmp_path / "requirements.txt").touch()
    begun = tmp_path / ".venv" / "bin"  # as uv leaves it until all that makes it a venv is there
    begun.mkdir(parents=True)
    (begun / "python").symlink_to(sys.executable)
    python = f'"{sys.executable}"'
    said = f". {ROOT / 'bootstrap.sh'}; install_with_uv {python} || install_with_pip {python}"
    environ = {**os.environ, "UV_OFFLINE": "1"}
    made = subprocess.run(
        ["/bin/sh", "-euc", said],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (made.returncode, "will not clear" in made.stderr) == (0, False), made.stderr
    assert (tmp_path / ".venv" / "pyvenv.cfg").exists()
