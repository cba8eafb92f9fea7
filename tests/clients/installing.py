"""The clients' own environments: made from their locks the first time, kept under build/ after."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "clients"
UV = ROOT / ".boot" / "uv" / "bin" / "uv"
WITHIN_S = 300


def python_with(lock: Path) -> Path:
    """Return a Python that has what a hashed lock lists, and nothing else."""

    def install(folder: Path) -> None:
        python, without = str(folder / "bin" / "python"), ["--without-pip"] * UV.exists()
        _run(sys.executable, "-m", "venv", *without, str(folder))
        pip = [python, "-m", "pip"]
        uv = [str(UV), "pip", "--quiet"]
        tool = [*uv, "install", "--python", python] if UV.exists() else [*pip, "install", "-q"]
        _run(*tool, "--require-hashes", "-r", str(lock))

    return _kept("python", [lock], install) / "bin" / "python"


def tools() -> Path:
    """Return the folder of a Python with the clients in Python, of Node and of npm."""
    return python_with(HERE / "requirements.txt").parent


def node_folder() -> Path:
    """Return the folder from which Node finds the clients of package-lock.json."""
    npm, locks = tools() / "npm", [HERE / "package.json", HERE / "package-lock.json"]

    def install(folder: Path) -> None:
        folder.mkdir()
        for lock in locks:
            shutil.copy(lock, folder)
        _run(str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))

    return _kept("node", locks, install)


def _kept(name: str, locks: list[Path], install: Callable[[Path], None]) -> Path:
    """Return the folder that was installed from these locks, now or earlier."""
    version = sha256(b"".join(lock.read_bytes() for lock in locks) + sys.version.encode())
    folder = BUILD / f"{name}-{version.hexdigest()[:12]}"
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            (folder / "complete").touch()
    return folder


def _run(*command: str) -> None:
    made = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=WITHIN_S, cwd=ROOT
    )
    assert made.returncode == 0, f"the clients cannot be installed: {made.stderr[-1_000:]}"
