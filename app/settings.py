"""Every dial of the service: its default, its unit, and what it does; the environment is read here.

A dial is set by TURNPIKE_<NAME>, or by <name> in the TOML file that TURNPIKE_CONFIG names. A name
that is no dial stops the start: a typo that is ignored is a setting that silently does nothing.
"""

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from policy.decide import RULES
from policy.errors import ConfigError

PREFIX = "TURNPIKE_"
CONFIG = "TURNPIKE_CONFIG"
DEFAULT_CONFIG = Path("turnpike.toml")
DAY_S = 86_400.0
LAST_PORT = 65_535


class Settings(BaseSettings):
    """The dials, each with its default and a sentence."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    arms: Path = Field(Path("data/arms.toml"), description="The catalogue of providers and arms.")
    database: Path = Field(
        Path("data/turnpike.db"),
        description="The log; snapshots and handovers lie in the same folder.",
    )
    bind: str = Field(
        "127.0.0.1:8000",
        description="Address and port; one that is not loopback needs an API key.",
    )
    api_key: SecretStr | None = Field(
        None, description="When set, every request must carry it as `Authorization: Bearer`."
    )
    policy: str = Field(
        "thompson", description=f"Who decides: {', '.join(f'`{rule}`' for rule in RULES)}."
    )
    willingness_to_pay_usd: float = Field(
        0.02,
        gt=0,
        description="Dollars that one more thumbs-up is worth; a request may say its own.",
    )
    feedback_window_s: float = Field(
        30 * DAY_S, gt=0, description="Seconds after a decision in which it may be rated."
    )
    retrain_every_s: float = Field(3_600.0, ge=1, description="Seconds between scheduled retrains.")
    retrain_first_outcomes: int = Field(
        25,
        ge=1,
        description="Ratings before the first retrain; later ones come when half are new.",
    )
    threads: int = Field(64, ge=2, le=2_000, description="Requests served at the same time.")
    max_body_bytes: int = Field(
        4 * 1024 * 1024, ge=1_024, description="Bytes of the largest request body taken."
    )
    sandbox: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Synthetic models instead of providers; `auto` while a key is missing.",
    )
    sandbox_url: str | None = Field(
        None, description="Where the sandbox answers; `serve` starts one and sets this."
    )
    sandbox_latency_s: float = Field(
        0.003, ge=0, description="Seconds a sandbox model of ordinary speed waits."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important lines that are written to standard error."
    )

    @field_validator("database")
    @classmethod
    def _is_a_path(cls, path: Path) -> Path:
        if "://" in str(path) or ":/" in str(path):
            raise ValueError("must be the path of an SQLite file; other stores come later")
        return path

    @field_validator("policy")
    @classmethod
    def _is_a_rule(cls, name: str) -> str:
        if name not in RULES and not (name.startswith("fixed:") and name.removeprefix("fixed:")):
            raise ValueError(f"must be one of {', '.join(RULES)}")
        return name

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        host, _, port = self.bind.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) <= LAST_PORT:
            raise ValueError(f"bind must be host:port such as 127.0.0.1:8000, not {self.bind!r}")
        if not _is_loopback(host.strip("[]")) and self.api_key is None:
            raise ValueError(
                f"bind {self.bind} can be reached from outside, so TURNPIKE_API_KEY must be set"
            )
        return self

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Return the settings of the environment and, under it, of the TOML file.

        raises : ConfigError naming the dial, the value seen and what would be right
        """
        environ = os.environ if environ is None else environ
        given = _from_file(environ) | _from_environment(environ)
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigError(_told(error)) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but what `load` passes: it has checked every name."""
        return (init_settings,)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in {CONFIG, "TURNPIKE_REPLAY"}
    }
    for name in given:
        _require_known(name, f"the variable {PREFIX}{name.upper()}", lambda n: PREFIX + n.upper())
    return given


def _from_file(environ: Mapping[str, str]) -> dict[str, Any]:
    named = environ.get(CONFIG)
    path = Path(named) if named else DEFAULT_CONFIG
    if not path.exists():
        if named:
            raise ConfigError(f"{CONFIG} names {path}, which does not exist")
        return {}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    for name in given:
        _require_known(name, f"{name!r} in {path}", str)
    return given


def _require_known(name: str, where: str, spelt: Any) -> None:
    if name not in Settings.model_fields:
        near = get_close_matches(name, Settings.model_fields, n=1)
        hint = f"did you mean {spelt(near[0])}?" if near else "see the settings in README.md"
        raise ConfigError(f"{where} is no setting; {hint}")


def _told(error: ValidationError) -> str:
    told = []
    for each in error.errors():
        dial = ".".join(map(str, each["loc"]))
        seen = "" if dial in {"", "api_key"} else f" (seen: {each['input']!r})"
        told.append(f"{PREFIX + dial.upper() if dial else 'settings'}: {each['msg']}{seen}")
    return "; ".join(told)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
