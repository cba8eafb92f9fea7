"""The catalogue: providers and arms read from `data/arms.toml`, or every mistake in it, by line.

A catalogue with any mistake is refused whole, and all its mistakes are named at once, so that one
edit is enough to put it right.
"""

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import fsum
from pathlib import Path
from typing import Any

from policy.ceilings import ROUNDING
from policy.errors import ConfigError
from policy.types import Arm, Timeouts
from upstream.fields import ARM, ARM_NAME, PROVIDER, PROVIDER_NAME, TABLE, TIMEOUTS, Field
from upstream.lines import line_of
from upstream.redact import HIDDEN, redacted

# Where a URL stands that may hold a password: until its last @, also when it lacks its scheme.
_USER = re.compile(r"(?s)(\bbase_url\W*(?:\w+://)?|//).*@")
_NUMBERS = (
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "cached_input_usd_per_mtok",
    "cache_write_usd_per_mtok",
    "quality",
    "max_usd_per_day",
)

_NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class Provider:
    """One OpenAI-compatible endpoint; `api_key_env` names the variable that holds its key.

    `passes_on` names the endpoints whose requests it is given as they came, beside those of arms,
    and `billed_in` where in the usage of an answer it says what it bills.
    """

    name: str
    base_url: str
    api_key_env: str | None = None
    passes_on: tuple[str, ...] = ()
    billed_in: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The arms that exist and the providers that serve them, by name, in the file's order."""

    providers: Mapping[str, Provider]
    arms: Mapping[str, Arm]

    def served_at(self, base_url: str) -> "Catalogue":
        """Return the same arms with every provider at `base_url` and without a key."""
        elsewhere = {name: Provider(name, base_url) for name in self.providers}
        return dataclasses.replace(self, providers=elsewhere)


def load(path: Path) -> Catalogue:
    """Return the catalogue in the file.

    raises : ConfigError naming each mistake: its line, the field, the value seen, what is right
    """
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_not_toml(path, text, error)) from error
    mistakes = _Mistakes(path, text)
    mistakes.check_file(tree)
    if mistakes.found:
        raise ConfigError("\n".join(mistakes.found))
    return _catalogue(tree)


def key_of(provider: Provider, environ: Mapping[str, str]) -> str:
    """Return the key to show a provider; one that takes none is shown a word that is none.

    raises : ConfigError when it is not set, or holds what no key does
    """
    if provider.api_key_env is None:
        return _NO_KEY
    key = environ.get(provider.api_key_env, "")
    if not key:
        raise ConfigError(
            f"provider {provider.name}: the environment variable {provider.api_key_env} "
            "is not set; it must hold the key of the provider"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"provider {provider.name}: the environment variable {provider.api_key_env} holds "
            f"{len(key)} characters with one among them that no key has, such as a space, a line "
            "end or a letter beyond ASCII; it must be the key alone"
        )
    return key


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"the catalogue {path} cannot be read: {error.strerror}; "
            "TURNPIKE_ARMS must be the path of a readable TOML file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the catalogue {path} is not text: byte {error.start} is not UTF-8; save it as UTF-8"
        ) from error


def _not_toml(path: Path, text: str, error: tomllib.TOMLDecodeError) -> str:
    place = re.search(r"at line (\d+)", str(error))
    number = int(place[1]) if place else len(text.splitlines())
    said = text.splitlines()[number - 1] if text else ""
    return redacted(
        f"{path} line {number}: {error}; the line says {_without_user(repr(said.strip()))}; "
        "it must be TOML, with one table for each name"
    )


def _without_user(text: str) -> str:
    return _USER.sub(rf"\1{HIDDEN}@", text)


class _Mistakes:
    """All that is wrong with one file, as sentences."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.found: list[str] = []

    def check_file(self, tree: Mapping[str, Any]) -> None:
        tables = {"provider": TABLE, "arm": TABLE}
        self.check_fields((), tree, tables)
        providers, arms = _tables(tree, "provider"), _tables(tree, "arm")
        for name, table in providers.items():
            self.check_name(("provider", name), PROVIDER_NAME)
            self.check_table(("provider", name), table, PROVIDER)
        for name, table in arms.items():
            self.check_name(("arm", name), ARM_NAME)
            self.check_arm(("arm", name), table, providers, arms)
        if "arm" in tree and not tree["arm"]:
            self.add(("arm",), "the catalogue has no arm; it needs one [arm.<name>] table or more")
        self.check_shares(arms)

    def check_arm(
        self,
        path: tuple[str, ...],
        table: Any,
        providers: Mapping[str, Any],
        arms: Mapping[str, Any],
    ) -> None:
        if not self.check_table(path, table, ARM):
            return
        self.check_known((*path, "provider"), [table["provider"]], providers)
        others = [name for name in arms if name != path[-1]]
        self.check_known((*path, "fallbacks"), table.get("fallbacks", ()), others)
        if self.check_table((*path, "timeouts"), table.get("timeouts", {}), TIMEOUTS):
            timeouts = Timeouts(**table.get("timeouts", {}))
            if max(timeouts.connect_s, timeouts.first_content_s) > timeouts.total_s:
                self.add((*path, "timeouts"), f"{timeouts}; no part may be longer than total_s")

    def check_shares(self, arms: Mapping[str, Any]) -> None:
        given = {name: arm.get("max_share") for name, arm in arms.items() if TABLE.holds(arm)}
        right = [each for each in given.values() if ARM["max_share"].holds(each)]
        if right and len(right) == len(arms) and fsum(right) < 1.0 - ROUNDING:
            self.add(
                ("arm", list(given)[-1], "max_share"),
                f"{right[-1]} is wrong; the max_share of all arms together, {fsum(right):g}, must "
                "be 1 or more, or one arm must have none: somebody has to answer the rest",
            )

    def check_table(self, path: tuple[str, ...], table: Any, fields: Mapping[str, Field]) -> bool:
        """Return whether the table is right, after naming whatever is not."""
        before = len(self.found)
        if TABLE.holds(table):
            self.check_fields(path, table, fields)
        else:
            self.add_wrong(path, table, TABLE.right)
        return len(self.found) == before

    def check_fields(
        self, path: tuple[str, ...], table: Mapping[str, Any], fields: Mapping[str, Field]
    ) -> None:
        divided = 0
        for key, value in table.items():
            if path and (rest := _rest_of_name(key, value, fields)):
                divided += 1
                whole = f'[{path[0]}."{path[-1]}.{rest}"]'
                self.add((*path, *rest.split(".")), f"a name with a dot must be quoted: {whole}")
            elif key not in fields:
                self.add((*path, key), f"unknown field{_nearest(key, fields)}")
            elif not fields[key].holds(value):
                self.add_wrong((*path, key), value, fields[key].right)
        if divided and divided == len(table):
            return
        for key, field in fields.items():
            if field.required and key not in table:
                self.add(path, f"{key} is missing; it must be {field.right}")

    def check_name(self, path: tuple[str, ...], field: Field) -> None:
        if not field.holds(path[-1]):
            self.add_wrong(path, path[-1], field.right)

    def check_known(
        self, path: tuple[str, ...], names: Iterable[str], known: Iterable[str]
    ) -> None:
        known = list(known)
        for name in names:
            if name not in known:
                self.add_wrong(path, name, f"one of: {', '.join(known) or 'none is defined'}")

    def add_wrong(self, path: tuple[str, ...], value: Any, right: str) -> None:
        self.add(path, f"{value!r} is wrong; it must be {right}")

    def add(self, path: tuple[str, ...], message: str) -> None:
        line = line_of(self.text, path)
        said = _without_user(f"{'.'.join(path) or 'the file'}: {message}")
        self.found.append(redacted(f"{self.path} line {line}: {said}"))


def _tables(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    tables = tree.get(key, {})
    return tables if isinstance(tables, dict) else {}


def _rest_of_name(key: str, value: Any, fields: Mapping[str, Field]) -> str:
    """Return what TOML took off a name at a dot without quotes, nothing if this is no such table.

    >>> _rest_of_name("1", {"model": "m"}, ARM), _rest_of_name("limits", {"n": 1}, ARM)
    ('1', '')
    """
    if key in fields or not TABLE.holds(value):
        return ""
    if any(field.required and name in value for name, field in fields.items()):
        return key
    rests = (_rest_of_name(each, table, fields) for each, table in value.items())
    return next((f"{key}.{rest}" for rest in rests if rest), "")


def _nearest(key: str, fields: Iterable[str]) -> str:
    near = get_close_matches(key, list(fields), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are: {', '.join(fields)}"


def _catalogue(tree: Mapping[str, Any]) -> Catalogue:
    return Catalogue(
        providers={name: _provider(name, table) for name, table in tree["provider"].items()},
        arms={name: _arm(name, table, tree["provider"]) for name, table in tree["arm"].items()},
    )


def _provider(name: str, table: Mapping[str, Any]) -> Provider:
    return Provider(name, **{**table, "passes_on": tuple(table.get("passes_on", ()))})


def _arm(name: str, table: Mapping[str, Any], providers: Mapping[str, Any]) -> Arm:
    fields: dict[str, Any] = {
        key: float(value) if key in _NUMBERS else value for key, value in table.items()
    }
    fields["capabilities"] = frozenset(table.get("capabilities", ()))
    for key in ("fallbacks", "answers_as"):
        fields[key] = tuple(table.get(key, ()))
    fields["timeouts"] = Timeouts(**{k: float(v) for k, v in table.get("timeouts", {}).items()})
    fields.setdefault("quota_group", name)
    fields["billed_in"] = providers[table["provider"]].get("billed_in")
    return Arm(name=name, **fields)
