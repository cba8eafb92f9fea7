"""A log on a network's file system is told; the table of mounts is one that Linux has written."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from storage import database
from storage.database import open_writer
from storage.mounts import remote

TABLE = r"""
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/export /srv/shared nfs4 rw,vers=4.2 0 0
//nas/team /mnt/our\040team cifs rw 0 0
me@host:/ /far/us/far fuse.sshfs rw 0 0
/dev/vdb /srv/shared/local xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/shared/turnpike.db", "nfs4"),
        ("/mnt/our team/a/turnpike.db", "cifs"),
        ("/far/us/far/turnpike.db", "sshfs"),
        ("/srv/shared/local/turnpike.db", None),
        ("/far/us/turnpike.db", None),
    ],
)
def test_the_innermost_mount_counts(tmp_path: Path, path: str, kind: str | None) -> None:
    (tmp_path / "mounts").write_text(TABLE.strip() + "\n")
    assert remote(Path(path), tmp_path / "mounts") == kind


def test_where_no_table_is_nothing_is_known(tmp_path: Path) -> None:
    assert remote(tmp_path, tmp_path / "none") is None


def test_a_writer_on_a_network_is_warned_once_and_one_on_a_disk_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "turnpike.db"
    with capture_logs() as told:
        open_writer(path).close()
        assert told == []
        (tmp_path / "mounts").write_text(f"server:/ {tmp_path.resolve()} nfs4 rw 0 0\n")
        monkeypatch.setattr(database, "remote", lambda at: remote(at, tmp_path / "mounts"))
        open_writer(path).close()
    [line] = told
    assert f"the log {path} lies on nfs4: SQLite can lose commits" in line["event"]
