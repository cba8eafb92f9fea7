"""Whatever holds what people asked, said or taught can be read by its owner only."""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePath

import pytest

from app.commands.evals import import_evals
from app.commands.training import retrain
from jobs.intake import of_evals
from storage.handover import hand_over
from storage.spool import Spare, Spool, Spooling
from storage.sqlite_log import SqliteLog
from tests.app.running import BESIDE, Provider, Running, evals_table, eventually, running
from tests.storage.rounds import EVAL, OUTCOME


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Let others read what is made, as most systems do."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> list[str]:
    """Return the files that others may read, but for locks, in which there is nothing."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    return [each.name for each in files if each.stat().st_mode & 0o077 and "lock" not in each.name]


def test_nothing_of_a_service_can_be_read_by_others(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url, cache="exact", prompts="full") as service:
        service.rate(service.ask()["id"])
        service.parts.traffic.now()
        beside = {each.name for each in tmp_path.iterdir()}
        assert {"turnpike.db", "turnpike.db-wal", BESIDE, "turnpike.db-spool"} <= beside
        assert readable_by_others(tmp_path) == []
    own = tmp_path / BESIDE
    hand_over(own / "handover", *of_evals([EVAL]))
    assert {each.name for each in own.iterdir()} >= {"handover", "snapshots", "traffic"}
    assert readable_by_others(tmp_path) == []


def test_a_rejected_row_cannot_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "turnpike.db"
    spool = Spool.beside(path, Spooling(65_536))
    spool.keep("killed", [Spare.of(OUTCOME, 0)])
    spool.close()
    with SqliteLog(path, spooling=Spooling(65_536)) as log:
        log.bring_back()
    assert path.with_name("turnpike.db-spool-rejected").exists()
    assert readable_by_others(tmp_path) == []


def test_a_log_that_its_owner_lets_others_read_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "turnpike.db"
    SqliteLog(path).close()
    path.chmod(0o640)
    with SqliteLog(path):
        for end in ("", "-wal", "-shm"):
            assert path.with_name(path.name + end).stat().st_mode & 0o777 == 0o640


def test_every_file_of_a_service_is_in_the_table_of_files(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url, cache="exact") as service:
        service.ask()
        service.parts.traffic.now()
        retrain(service.parts.settings, "manual")
        lies = {str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file()}
    assert {f"{BESIDE}/retrain.lock", "turnpike.db-spool"} <= lies
    page = (Path(__file__).parents[2] / "docs/architecture.md").read_text()
    table = page.partition("## Where each file lies")[2].partition("\n## ")[0]
    named = [re.findall("`(.+?)`", row.split("|")[1]) for row in table.splitlines() if "|" in row]
    told = {names[0] + each if each[0] == "-" else each for names in named for each in names}
    assert {file for file in lies if not any(PurePath(file).match(each) for each in told)} == set()


def test_logs_of_one_folder_have_only_the_secret_in_common(
    tmp_path: Path, provider: Provider
) -> None:
    def of(name: str) -> AbstractContextManager[Running]:
        return running(tmp_path, sandbox_url=provider.url, database=tmp_path / name)

    with of("one.db") as one, of("other.db") as other:
        one.rate(one.ask()["id"])
        before = one.digest
        import_evals(other.parts.settings, evals_table(tmp_path / "evals.csv", 3))
        assert eventually(lambda: other.parts.log.counts().evals > 0)
        assert one.parts.log.counts().evals == 0
    assert before != other.digest
    with of("other.db"), of("one.db") as one:
        assert one.digest == before
    for name in ("one.db", "other.db"):
        assert list((tmp_path / f"{name}-beside" / "snapshots").iterdir())
