"""The catalogue follows its file, and survives whatever is written there."""

import os
import threading
from pathlib import Path

import pytest

from policy.errors import ConfigError
from tests.upstream.test_catalogue import GOOD
from upstream.catalogue import Catalogue
from upstream.watch import LOOK_EVERY_S, CatalogueFile

DEARER = GOOD.replace("= 2.5", "= 3.75")
WRONG = GOOD.replace("= 2.5", "= -1")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def tick(self) -> None:
        self.now_s += LOOK_EVERY_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "arms.toml"
    path.write_text(GOOD)
    return path


def price(file: CatalogueFile) -> float:
    return file.current().arms["large"].input_usd_per_mtok


def test_a_changed_price_is_seen_at_the_next_look(path: Path) -> None:
    clock = Clock()
    file = CatalogueFile(path, clock)
    path.write_text(DEARER)
    assert price(file) == 2.5
    clock.tick()
    assert price(file) == 3.75


def test_a_change_of_the_same_length_in_a_replaced_file_is_seen(path: Path) -> None:
    clock = Clock()
    file = CatalogueFile(path, clock)
    before = path.stat()
    other = path.with_name("new.toml")
    other.write_text(GOOD.replace("= 2.5", "= 9.5"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    clock.tick()
    assert price(file) == 9.5


def test_a_wrong_file_leaves_the_last_good_catalogue_and_says_why(path: Path) -> None:
    clock = Clock()
    file = CatalogueFile(path, clock)
    assert file.error is None
    path.write_text(WRONG)
    clock.tick()
    assert price(file) == 2.5
    assert file.error is not None
    assert "line 15" in file.error
    path.write_text(DEARER)
    clock.tick()
    assert price(file) == 3.75
    assert file.error is None


def test_a_mistake_is_told_once_and_again_when_it_changes_or_is_gone(path: Path) -> None:
    clock, told = Clock(), []
    file = CatalogueFile(path, clock, tell=told.append)
    two = WRONG.replace("= 8000", "= 0")
    for number, text in enumerate((DEARER, WRONG, WRONG + "\n", two, GOOD, DEARER)):
        path.write_text(text + "#" * number)
        for _ in range(3):
            clock.tick()
            file.current()
    assert [each and each.count("is wrong") for each in told] == [1, 2, None]


def test_a_catalogue_that_cannot_be_used_here_is_a_wrong_file(path: Path) -> None:
    def agree(catalogue: Catalogue) -> None:
        if catalogue.arms["large"].input_usd_per_mtok > 3:
            raise ConfigError("too dear")

    clock = Clock()
    file = CatalogueFile(path, clock, agree=agree)
    path.write_text(DEARER)
    clock.tick()
    assert (price(file), file.error) == (2.5, "too dear")
    path.write_text(GOOD)
    clock.tick()
    assert (price(file), file.error) == (2.5, None)
    path.write_text(DEARER)
    with pytest.raises(ConfigError, match="too dear"):
        CatalogueFile(path, agree=agree)


def test_a_file_that_goes_away_and_comes_back_is_followed(path: Path) -> None:
    clock = Clock()
    file = CatalogueFile(path, clock)
    path.unlink()
    clock.tick()
    assert price(file) == 2.5
    assert file.error is not None
    assert "No such file" in file.error
    path.write_text(DEARER)
    clock.tick()
    assert (price(file), file.error) == (3.75, None)


def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    clock = Clock()
    file = CatalogueFile(path, clock)
    first = file.current()
    clock.tick()
    assert file.current() is first


def test_a_file_that_is_wrong_at_the_start_is_refused(path: Path) -> None:
    path.write_text(WRONG)
    with pytest.raises(ConfigError):
        CatalogueFile(path)


def test_many_threads_never_see_half_a_catalogue(path: Path) -> None:
    clock = Clock()
    file = CatalogueFile(path, clock)
    prices: set[float] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            prices.add(price(file))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for text in [DEARER, WRONG, GOOD] * 4:
        path.write_text(text)
        clock.tick()
        file.current()
    stop.set()
    for thread in threads:
        thread.join()
    assert prices <= {2.5, 3.75}
