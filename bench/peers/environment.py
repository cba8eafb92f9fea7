"""A virtual environment for each peer, under build/, made once from its own hashed lock."""

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from shutil import rmtree, which

ROOT = Path(__file__).parents[2]
MADE = ROOT / "build" / "peers"
UV = (ROOT / ".boot" / "uv" / "bin", Path(sys.executable).parent)


def python(library: str) -> Path:
    """Return the interpreter of a library's environment, which is made if it is not there.

    raises : subprocess.CalledProcessError, after what it printed, if it cannot be installed
    """
    lock = Path(__file__).with_name(f"requirements-{library}.txt")
    version = f"{sys.version_info.major}.{sys.version_info.minor}".encode()
    folder = MADE / f"{library}-{sha256(lock.read_bytes() + version).hexdigest()[:12]}"
    interpreter = folder / "bin" / "python"
    with _alone(folder):
        if not (folder / "whole").exists():
            print(f"installing {library} for comparison", file=sys.stderr, flush=True)
            rmtree(folder, ignore_errors=True)
            for command in _installing(folder, interpreter, lock):
                subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603
            (folder / "whole").touch()
    return interpreter


def _installing(folder: Path, interpreter: Path, lock: Path) -> list[list[str]]:
    """Return the commands that make an environment: uv's if it is here, else pip's."""
    uv = next((found for place in UV if (found := which("uv", path=place))), which("uv"))
    # The lock is whole; pip, left to look for more, would ask for a hash of `pydantic[email]`.
    hashed = ["--no-deps", "--require-hashes", "-r", str(lock)]
    if uv is None:
        making = [sys.executable, "-m", "venv", str(folder)]
        return [making, [str(interpreter), "-m", "pip", "install", "--quiet", *hashed]]
    making = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
    return [making, [uv, "pip", "install", "--quiet", "--python", str(interpreter), *hashed]]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from making the same environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
