"""The sandbox and the providers never share a log."""

from pathlib import Path

import pytest

from app.mode import in_force, missing_keys
from app.settings import Settings
from policy.errors import ConfigError
from tests.app.running import CATALOGUE
from upstream.catalogue import load

KEY = {"GLOBAL_API_KEY": "k" * 20}


def mode(folder: Path, environ: dict[str, str], sandbox: str) -> tuple[str, Path]:
    given = {"arms": CATALOGUE, "database": folder / "t.db", "sandbox": sandbox}
    found = in_force(Settings.load({}, given), environ)
    return found.sandbox, found.database


def test_without_a_key_the_sandbox_answers_and_has_its_own_log(tmp_path: Path) -> None:
    own = tmp_path / "sandbox" / "t.db"
    assert mode(tmp_path, {}, "auto") == ("on", own)
    assert mode(tmp_path, {"GLOBAL_API_KEY": ""}, "auto") == ("on", own)
    assert mode(tmp_path, KEY, "on") == ("on", own)


def test_with_every_key_the_providers_answer(tmp_path: Path) -> None:
    assert mode(tmp_path, KEY, "auto") == ("off", tmp_path / "t.db")
    assert mode(tmp_path, {}, "off") == ("off", tmp_path / "t.db")


def test_the_missing_keys_are_named_once_each() -> None:
    assert missing_keys(load(CATALOGUE), {}) == ["GLOBAL_API_KEY"]
    assert missing_keys(load(CATALOGUE), KEY) == []


def test_a_wrong_catalogue_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        in_force(Settings.load({}, {"arms": tmp_path / "none.toml"}), {})
