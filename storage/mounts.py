"""Whether a file lies on another machine's disk, where SQLite's locks and flushes mean little."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
REMOTE = {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4"}
REMOTE |= {"smb3", "smbfs", "sshfs"}


def remote(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the kind of network file system a path lies on; None for a local one, or if unknown.

    source : proc(5); spaces in mount points are written as octal escapes
    """
    if not mounts.exists():
        return None
    kinds: dict[Path, str] = {}
    for line in mounts.read_text(errors="replace").splitlines():
        _, point, kind, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
        kinds[Path(point)] = kind.removeprefix("fuse.")
    kind = next((kinds[each] for each in (path, *path.parents) if each in kinds), "")
    return kind if kind in REMOTE else None
