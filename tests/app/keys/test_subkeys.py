"""One secret gives a key for each purpose, none of which opens what another one guards."""

import multiprocessing
import os
from pathlib import Path
from typing import get_args

import pytest

from app.keys.subkeys import Purpose, Subkeys, hkdf, is_tag, subkeys, tag
from app.settings import Settings
from policy.errors import ConfigError

# RFC 5869, appendix A: cases 1 and 3, their first 32 bytes.
VECTORS = [
    (
        "0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    ),
    (
        "0b" * 22, "", "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "salt", "info", "expected"), VECTORS)
def test_keys_are_derived_as_the_standard_says(
    secret: str, salt: str, info: str, expected: str
) -> None:
    assert hkdf(*map(bytes.fromhex, (secret, salt, info))).hex() == expected


def test_a_tag_of_one_purpose_is_none_of_another() -> None:
    keys = Subkeys(b"s" * 32)
    signed = tag(keys.of("session/v1"), "x")
    assert is_tag(keys.of("session/v1"), "x", signed)
    assert not is_tag(keys.of("feedback/v1"), "x", signed)
    assert not is_tag(keys.of("session/v1"), "y", signed)
    assert not is_tag(keys.of("session/v1"), "x", signed[:-1] + "\u00e9")


def _read(folder: Path) -> bytes:
    return subkeys(Settings.load({}, {"data": folder})).of("keys/v1")


def test_the_secret_is_made_once_however_many_start_together(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        seen = set(pool.map(_read, [folder] * 8))
    assert len(seen) == 1
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert (folder / "secret").stat().st_mode & 0o077 == 0
    assert len((folder / "secret").read_bytes()) == 64


def test_the_draft_of_a_start_that_was_killed_stops_no_other(tmp_path: Path) -> None:
    # The next start in a container has the same number as the one before.
    (tmp_path / f".secret.{os.getpid()}.draft").write_text("half")
    assert _read(tmp_path) == _read(tmp_path)


def test_a_secret_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    _read(tmp_path)
    (tmp_path / "secret").chmod(0o640)
    with pytest.raises(ConfigError, match=r"can be read by others: chmod 600"):
        _read(tmp_path)


def test_a_folder_is_no_secret_and_nobody_is_told_to_change_its_mode(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(0o755)  # as an engine makes what it is to mount and does not find
    with pytest.raises(
        ConfigError, match=r"cannot be used: Is a directory; it must be this user's file"
    ):
        _read(tmp_path)


def test_a_secret_of_the_settings_needs_no_file(tmp_path: Path) -> None:
    settings = Settings.load({}, {"secret": "a" * 32, "data": tmp_path})
    first = subkeys(settings).of("keys/v1")
    assert first == Subkeys(b"a" * 32).of("keys/v1")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="TURNPIKE_SECRET is not right: it must have at least 32"):
        Settings.load({}, {"secret": "short"})


def test_a_secret_of_the_environment_may_be_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = b"\xff" * 32
    monkeypatch.setitem(os.environb, b"TURNPIKE_SECRET", secret)
    assert subkeys(Settings.load()).check == Subkeys(secret).check


def test_what_tells_a_secret_from_others_opens_nothing() -> None:
    one, other = Subkeys(b"a" * 32), Subkeys(b"b" * 32)
    assert one.check == Subkeys(b"a" * 32).check != other.check
    assert [one.of(each).hex() for each in get_args(Purpose)].count(one.check) == 1


def test_a_secret_that_is_empty_or_short_stops_the_start(tmp_path: Path) -> None:
    for content in (b"", b"x" * 31):
        (tmp_path / "secret").write_bytes(content)
        (tmp_path / "secret").chmod(0o600)
        with pytest.raises(ConfigError, match=r"has \d+ bytes, and 32 are needed: put back"):
            _read(tmp_path)
