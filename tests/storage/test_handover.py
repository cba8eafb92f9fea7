"""What another process hands over is imported exactly once, or set aside and reported."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policy.errors import InvalidInput, StoreUnavailable
from storage import handover, parcel
from storage.handover import Handover
from storage.recorder import HandoverRow
from storage.sqlite_log import SqliteLog
from tests.storage.rounds import EVAL, NOON_S, POLICY, but

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "handover"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        yield log


def translate(given: Handover) -> Sequence[HandoverRow]:
    if given.kind != "retrain":
        raise InvalidInput(f"no such kind of handover: {given.kind}; there is retrain")
    space, hyper = given.blobs["space"], given.payload
    return [but(EVAL, batch=given.id), but(POLICY, version=1, space=space, hyper=hyper)]


def statuses(taken: list[handover.Taken]) -> list[str]:
    return [one.status for one in taken]


def test_a_child_process_hands_over_and_the_writer_imports(folder: Path, log: SqliteLog) -> None:
    code = (
        "import sys; from pathlib import Path; from storage.handover import hand_over;"
        "hand_over(Path(sys.argv[1]), 'retrain', {'ridge': 2.0}, {'space': bytes(range(256))})"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True)
    assert statuses(handover.take(folder, log, translate, NOON_S)) == ["imported"]
    policy = log.latest_policy()
    assert policy is not None
    assert (policy.space, policy.hyper) == (bytes(range(256)), {"ridge": 2.0})
    assert handover.pending(folder) == []
    assert handover.take(folder, log, translate, NOON_S) == []


def test_a_parcel_that_outlived_its_import_is_not_imported_again(
    folder: Path, log: SqliteLog
) -> None:
    handover.hand_over(folder, "retrain", {}, {"space": b""})
    [path] = handover.pending(folder)
    content = path.read_bytes()
    handover.take(folder, log, translate, NOON_S)
    path.write_bytes(content)
    assert statuses(handover.take(folder, log, translate, NOON_S)) == ["repeated"]
    assert log.position() == 2
    assert not path.exists()


def test_a_broken_parcel_is_set_aside_and_reported(folder: Path, log: SqliteLog) -> None:
    handover.hand_over(folder, "retrain", {}, {"space": b"abc"})
    [path] = handover.pending(folder)
    path.write_bytes(path.read_bytes()[:-1])
    [taken] = handover.take(folder, log, translate, NOON_S)
    assert (taken.status, "cut short" in taken.reason) == ("rejected", True)
    assert (folder / "rejected" / path.name).exists()
    assert handover.pending(folder) == []
    assert log.position() == 0


def test_a_parcel_that_makes_no_sense_is_set_aside_and_the_next_one_taken(
    folder: Path, log: SqliteLog
) -> None:
    handover.hand_over(folder, "gossip", {}, {})
    handover.hand_over(folder, "retrain", {}, {"space": b""})
    handover.hand_over(folder, "retrain", {}, {"space": b"stale"})
    taken = handover.take(folder, log, translate, NOON_S)
    assert statuses(taken) == ["rejected", "imported", "rejected"]
    assert "no such kind" in taken[0].reason
    assert "give 2 or more" in taken[2].reason


def looped(path: Path) -> None:
    path.symlink_to(path.name)


def headless(path: Path) -> None:
    body = b'["no header of ours"]\n'
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def nameless(path: Path) -> None:
    parcel.write(path, {"schema": handover.SCHEMA}, {})


def newer(path: Path) -> None:
    header = {"schema": handover.SCHEMA + 1, "id": "n", "kind": "retrain", "payload": {}}
    parcel.write(path, header, {"space": b""})


@pytest.mark.parametrize("strange", [Path.mkdir, looped, os.mkfifo, headless, nameless, newer])
def test_what_is_no_parcel_of_ours_is_set_aside_and_the_next_one_taken(
    folder: Path, log: SqliteLog, strange: Callable[[Path], None]
) -> None:
    folder.mkdir()
    strange(folder / "strange.handover")
    handover.hand_over(folder, "retrain", {}, {"space": b""})
    taken = handover.take(folder, log, translate, NOON_S)
    assert sorted(statuses(taken)) == ["imported", "rejected"]
    assert [path.name[:7] for path in (folder / "rejected").iterdir()] == ["strange"]
    assert handover.pending(folder) == []


def test_a_parcel_that_cannot_even_be_set_aside_keeps_no_other_from_being_taken(
    folder: Path, log: SqliteLog
) -> None:
    handover.hand_over(folder, "gossip", {}, {})
    handover.hand_over(folder, "retrain", {}, {"space": b""})
    (folder / "rejected").write_text("no folder")
    assert statuses(handover.take(folder, log, translate, NOON_S)) == ["imported"]
    with pytest.raises(FileExistsError):
        handover.take(folder, log, translate, NOON_S)
    assert len(handover.pending(folder)) == 1


def test_a_parcel_waits_while_the_log_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    handover.hand_over(folder, "retrain", {}, {"space": b""})
    log = SqliteLog(tmp_path / "turnpike.db")
    log.close()
    with pytest.raises(StoreUnavailable):
        handover.take(folder, log, translate, NOON_S)
    assert len(handover.pending(folder)) == 1


def test_a_folder_nobody_has_used_yet_is_empty(folder: Path) -> None:
    assert handover.pending(folder) == []


def test_what_is_taken_back_is_never_taken(folder: Path, log: SqliteLog) -> None:
    identity = handover.hand_over(folder, "retrain", {}, {"space": b""})
    assert handover.withdraw(folder, identity)
    assert handover.take(folder, log, translate, NOON_S) == []
    assert not handover.withdraw(folder, identity)


def test_what_is_being_taken_cannot_be_taken_back(folder: Path, log: SqliteLog) -> None:
    identity = handover.hand_over(folder, "retrain", {}, {"space": b""})
    asked = []

    def amid(parcel: Handover) -> Sequence[HandoverRow]:
        asked.append(pool.submit(handover.withdraw, folder, identity))
        assert handover.take(folder, log, translate, NOON_S) == []  # nor by another who takes
        return translate(parcel)

    with ThreadPoolExecutor(1) as pool:
        assert statuses(handover.take(folder, log, amid, NOON_S)) == ["imported"]
        assert not asked[0].result()


def test_what_root_hands_over_the_service_of_another_user_can_take(tmp_path: Path) -> None:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path, user, -1)
    folder = tmp_path / "sandbox" / "turnpike.db-beside" / "handover"
    handover.hand_over(folder, "retrain", {}, {})
    assert len(handover.pending(folder)) == 1
    assert {each.stat().st_uid for each in tmp_path.rglob("*")} == {user}


def test_what_a_link_of_theirs_leads_to_is_not_given_to_them(tmp_path: Path) -> None:
    ours, link = tmp_path / "ours", tmp_path / "theirs" / "link"
    ours.touch()
    link.parent.mkdir()
    if os.geteuid() == 0:
        os.chown(link.parent, NOBODY, -1)
    link.symlink_to(ours)
    parcel.give_to_folders_owner(link)
    assert ours.stat().st_uid == os.geteuid()
    assert link.lstat().st_uid == link.parent.stat().st_uid
