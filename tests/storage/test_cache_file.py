"""The file of stored answers: what it keeps, what makes room, and what becomes of a damaged one."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from policy.errors import ConfigError, StoreUnavailable
from storage.cache_file import ROW_BYTES, Bounds, CacheFile, StoredAnswer, remove
from tests.storage.filling import little_room
from tests.storage.rounds import NOON_S, but

BOUNDS = Bounds(answers=100, bytes=1_000_000, age_s=60.0)
ANSWER = StoredAnswer(
    key=b"k",
    kin=b"n",
    likeness=b"",
    tenant="acme",
    decision_id="d",
    arm="small",
    model="small-2026",
    text="Paris",
    thoughts="{}",
    input_tokens=9,
    cached_tokens=0,
    output_tokens=1,
    usage_estimated=False,
    cost_usd=0.001,
    created_at_s=NOON_S,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.cache.db"


@pytest.fixture
def cache(path: Path) -> Iterator[CacheFile]:
    made = CacheFile(path, BOUNDS)
    yield made
    made.close()


def keys(cache: CacheFile, n: int) -> list[bytes]:
    return [b"%d" % i for i in range(n) if cache.get(b"%d" % i) is not None]


def test_an_answer_comes_back_as_it_was(cache: CacheFile) -> None:
    cache.put(ANSWER)
    assert cache.get(b"k") == ANSWER
    assert cache.get(b"other") is None


def test_what_no_store_can_keep_is_replaced(cache: CacheFile) -> None:
    cache.put(but(ANSWER, text="a\x00b\ud800"))
    stored = cache.get(b"k")
    assert stored is not None
    assert stored.text == "a\ufffdb\ufffd"


def test_the_same_request_has_one_answer_the_newest(cache: CacheFile) -> None:
    cache.put(ANSWER)
    cache.put(but(ANSWER, text="Paris!", decision_id="e"))
    stored = cache.get(b"k")
    assert stored is not None
    assert (stored.text, cache.held.answers) == ("Paris!", 1)


def test_it_is_there_after_a_restart(path: Path) -> None:
    for _ in range(2):
        cache = CacheFile(path, BOUNDS)
        cache.put(ANSWER)
        assert (cache.held.answers, cache.held.bytes) == (1, ROW_BYTES + len("Paris{}"))
        cache.close()


def test_what_was_used_longest_ago_makes_room(path: Path) -> None:
    cache = CacheFile(path, Bounds(answers=10, bytes=1_000_000, age_s=1e9))
    for i in range(10):
        cache.put(but(ANSWER, key=b"%d" % i, created_at_s=NOON_S + i))
    cache.touch(b"0", NOON_S + 50)
    gone = cache.put(but(ANSWER, key=b"10", created_at_s=NOON_S + 60))
    assert gone == [b"1", b"2"]
    assert cache.held.answers == 9
    assert keys(cache, 11) == [b"0", *(b"%d" % i for i in range(3, 11))]
    cache.close()


def test_long_answers_make_room_by_their_bytes(path: Path) -> None:
    cache = CacheFile(path, Bounds(answers=1_000, bytes=50_000, age_s=1e9))
    for i in range(40):
        cache.put(but(ANSWER, key=b"%d" % i, text="x" * 4_000, created_at_s=NOON_S + i))
        assert cache.held.bytes <= 50_000
    assert b"39" in keys(cache, 40)
    cache.close()


def test_one_answer_larger_than_the_bound_is_not_kept(path: Path) -> None:
    cache = CacheFile(path, Bounds(answers=10, bytes=50_000, age_s=1e9))
    cache.put(ANSWER)
    assert cache.put(but(ANSWER, key=b"big", text="x" * 60_000)) == []
    assert (cache.get(b"big"), cache.get(b"k")) == (None, ANSWER)
    cache.close()


def test_what_is_too_old_goes_by_itself(cache: CacheFile) -> None:
    cache.put(ANSWER)
    assert cache.put(but(ANSWER, key=b"new", created_at_s=NOON_S + 61)) == [b"k"]


def test_what_is_too_old_goes_without_a_new_answer_too(cache: CacheFile) -> None:
    cache.put(ANSWER)
    assert cache.prune(NOON_S + 59) == []
    assert cache.prune(NOON_S + 61) == [b"k"]
    assert cache.held.answers == 0


def test_a_decision_takes_its_answer_with_it_for_its_own_tenant_only(cache: CacheFile) -> None:
    cache.put(ANSWER)
    assert cache.evict("d", "other") == []
    assert cache.evict("d", "acme") == [b"k"]
    assert (cache.get(b"k"), cache.held.bytes) == (None, 0)


def test_nothing_of_what_was_cleared_is_left_on_the_disk(cache: CacheFile, path: Path) -> None:
    for i in range(50):
        cache.put(but(ANSWER, key=b"%d" % i, text="a secret recipe " * 20))
    assert len(cache.clear()) == 50
    left = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"secret" not in left


def test_what_was_stored_up_to_a_moment_is_forgotten_on_the_disk_too(
    cache: CacheFile, path: Path
) -> None:
    for n in range(3):
        cache.put(but(ANSWER, key=b"%d" % n, text=f"canary {n}", created_at_s=NOON_S + n))
    assert cache.forget(NOON_S + 1) == [b"0", b"1"]
    assert (keys(cache, 3), cache.held.answers) == ([b"2"], 1)
    left = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert (b"canary 0" in left, b"canary 1" in left, b"canary 2" in left) == (False, False, True)


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""], ids=["garbage", "empty"])
def test_a_file_that_cannot_be_used_is_made_anew(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    cache = CacheFile(path, BOUNDS)
    cache.put(ANSWER)
    assert cache.get(b"k") == ANSWER
    cache.close()


def test_a_file_of_another_version_is_made_anew(path: Path) -> None:
    cache = CacheFile(path, BOUNDS)
    cache.put(ANSWER)
    cache._db.execute("PRAGMA user_version = 99")
    cache.close()
    cache = CacheFile(path, BOUNDS)
    assert cache.held.answers == 0
    cache.close()


def test_a_folder_that_does_not_exist_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="its folder must be writable"):
        CacheFile(tmp_path / "nowhere" / "a.cache.db", BOUNDS)


def test_a_full_disk_is_told_as_one_and_not_as_a_wrong_place(path: Path) -> None:
    path.touch()
    with little_room(0), pytest.raises(StoreUnavailable, match=r"a\.cache\.db failed"):
        CacheFile(path, BOUNDS)
    CacheFile(path, BOUNDS).close()


def test_a_file_that_fails_later_says_so(cache: CacheFile) -> None:
    cache._db.execute("DROP TABLE answers")
    with pytest.raises(StoreUnavailable, match="no such table"):
        cache.get(b"k")


def test_many_threads_share_it(cache: CacheFile) -> None:
    def work(n: int) -> None:
        for i in range(30):
            cache.put(but(ANSWER, key=b"%d" % (n * 30 + i)))
            cache.get(b"%d" % i)

    threads = [Thread(target=work, args=(n,), daemon=True) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.held.answers == 90


def test_a_removed_cache_leaves_no_file(cache: CacheFile, path: Path) -> None:
    cache.put(ANSWER)
    cache.close()
    remove(path)
    assert list(path.parent.iterdir()) == []
