"""Every dial of the service: its default, its unit, and what it does.

A dial is set by TURNPIKE_<NAME>, or by <name> in the TOML file that TURNPIKE_CONFIG names. A name
that is no dial stops the start: a typo that is ignored is a setting that silently does nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app import dials
from app.address import is_loopback
from app.given import PREFIX, from_environment, from_file
from app.keys.holder import TENANT
from app.mistakes import right, seen
from app.routing.ask import Recovery
from app.routing.retention import Prompts
from policy.decide import RULES
from policy.errors import ConfigError
from policy.types import DAY_S, HOUR_S

# A database's URL carries its password.
MAY_BE_SECRET = frozenset({"api_key", "secret", "database", "alarm_webhook"})


class Settings(BaseSettings):
    """The dials, each with its default and a sentence."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    arms: dials.File = Field(
        Path("data/arms.toml"), description="The catalogue of providers and arms."
    )
    database: dials.Where = Field(
        Path("data/turnpike.db"),
        repr=False,
        description="The log: an SQLite file, or `postgresql://user:password@host/name`.",
    )
    data: dials.File | None = Field(
        None,
        description="The folder of the secret, and of a folder of what lies beside each log: "
        "snapshots, handovers, stored answers; by default that of the SQLite file, or `data`.",
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes that serve; more than one needs PostgreSQL."
    )
    bind: dials.Address = Field(
        "127.0.0.1:8000", description="Address and port; one that is not loopback needs a key."
    )
    api_key: dials.Key | None = Field(
        None,
        description="A key with every scope, as `Authorization: Bearer`; `keys create` makes more.",
    )
    secret: dials.Secret | None = Field(
        None,
        description="What guards the keys and signs feedback tokens and sessions; by default the "
        "file `secret`, made once in the folder of `TURNPIKE_DATA`, by default beside the log.",
    )
    cors_origins: dials.Origins = Field(
        "",
        description="Sites whose pages may send feedback with a feedback token, such as "
        "`https://shop.example`, with commas between.",
    )
    trusted_tenants: dials.Tenants = Field(
        TENANT, description="Tenants who may vote far oftener than others, with commas, or `*`."
    )
    policy: dials.Rule = Field(
        "thompson", description=f"Who decides: {', '.join(f'`{rule}`' for rule in RULES)}."
    )
    willingness_to_pay_usd: float = Field(
        0.01,
        ge=1e-9,
        le=1e6,
        description="Dollars that one more thumbs-up is worth; a request may say its own.",
    )
    budget_usd: float | None = Field(
        None,
        ge=1e-9,
        le=1e9,
        description="Dollars to spend; when set, the willingness to pay follows from it.",
    )
    budget_per: Literal["request", "hour", "day"] = Field(
        "day", description="What the budget is for; per hour or day (UTC) it is a ceiling too."
    )
    quality_floor: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Least share of the baseline arm's quality, kept at the least spend.",
    )
    baseline: str | None = Field(
        None, description="The arm that savings and quality are set against; default: the dearest."
    )
    control_share: float | None = Field(
        None,
        ge=0,
        le=0.5,
        description="Share of requests that go to the baseline whatever looks best: they tell what "
        "it would have cost and how good it would have been; default: 0.01, none with a budget. "
        "Under a floor of quality half of them, until 30 outcomes of it are known.",
    )
    feedback_window_s: dials.Seconds = Field(
        30 * DAY_S, description="Seconds after a decision in which it may be rated."
    )
    retrain_every_s: float = Field(
        HOUR_S, ge=1, le=dials.YEAR_S, description="Seconds between scheduled retrains."
    )
    report_every_s: float = Field(
        HOUR_S, ge=1, le=dials.YEAR_S, description="Seconds between reports of a long log."
    )
    job_deadline_s: float = Field(
        7_200.0, ge=1, le=dials.YEAR_S, description="Seconds after which a job is ended."
    )
    alarm_webhook: dials.Url | None = Field(
        None, description="Where alarms are POSTed as JSON when they are raised and when over."
    )
    retrain_first_outcomes: int = Field(
        25,
        ge=1,
        description="Ratings before the first retrain; the next when as many again have come.",
    )
    dask: str | None = Field(
        None, pattern=r"^(tcp|tls)://\S+$", description="A Dask scheduler that adds up large logs."
    )
    stream_recovery: Recovery = Field(
        "continue",
        description="What follows when a stream breaks off: `continue` with another arm, `hold` "
        "each answer until it is whole, or end with an `error`; a request may say its own.",
    )
    prompts: Prompts = Field(
        "hash",
        description="What is kept of prompts and answers: nothing, and no word is looked at "
        "(`off`), hashes (`hash`), also the text, masked (`redacted`) or whole (`full`).",
    )
    prompts_keep_days: dials.Days = Field(30, description="Days for which the text is kept.")
    hashes_keep_days: dials.Days = Field(400, description="Days for which a prompt's hash is kept.")
    cache: Literal["off", "asked", "exact", "semantic"] = Field(
        "asked",
        description="Which requests may get a stored answer: those that say `cache` (`asked`), all "
        "(`exact`), all also to the question in other words (`semantic`); `off` keeps none.",
    )
    cache_embeddings: str | None = Field(
        None,
        pattern=r"^\S{1,128}$",
        description="The model that compares questions for `semantic`, at the provider that passes "
        "on embeddings; without it only small words may differ.",
    )
    cache_similarity: float = Field(
        0.95, ge=0.95, le=1, description="The least similarity by that model."
    )
    cache_fresh_s: dials.Seconds = Field(
        DAY_S, description="Seconds for which a stored answer is given again."
    )
    cache_stale_s: dials.Seconds = Field(
        7 * DAY_S, description="Seconds for which it may stand in when no provider answers."
    )
    cache_max_answers: int = Field(10_000, ge=10, le=1_000_000, description="Answers stored.")
    cache_max_bytes: int = Field(
        64 * 1024 * 1024, ge=65_536, le=1 << 40, description="Bytes of stored answers."
    )
    spool_bytes: int = Field(
        64 * 1024 * 1024,
        ge=65_536,
        le=1 << 40,
        description="Bytes reserved beside the log for what it cannot take: a full disk, a lock.",
    )
    without_log: Literal["refuse", "serve"] = Field(
        "refuse",
        description="What follows when the spool is full too: requests are refused with 503, or "
        "served and not recorded.",
    )
    drain_s: dials.Seconds = Field(
        25.0,
        description="Seconds that answers under way may take after SIGTERM; then they are cut.",
    )
    connections: int = Field(
        2_000, ge=2, le=20_000, description="Connections served at the same time, idle ones too."
    )
    max_body_bytes: int = Field(
        4 * 1024 * 1024,
        ge=1_024,
        le=1024 * 1024 * 1024,
        description="Bytes of the largest request body taken.",
    )
    sandbox: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether synthetic models answer; `auto`: while a provider's key is missing.",
    )
    sandbox_url: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="Where the sandbox answers; `serve` starts one and sets this.",
    )
    sandbox_latency_s: float = Field(
        0.003, ge=0, le=60, description="Seconds a sandbox model of ordinary speed waits."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important lines that are written to standard error."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_switch(cls, value: Any) -> Any:
        if isinstance(value, bool):  # TOML's true would pass for 1
            raise ValueError("it must not be true or false: no dial is a switch")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _has_one_writer(self) -> Self:
        if self.workers > 1 and isinstance(self.database, Path):
            raise ValueError(
                f"workers is {self.workers} and the database is an SQLite file, which only one "
                "process may write: SQLite before 3.51.3 can lose commits of two. Set workers to "
                f"1, or {PREFIX}DATABASE to postgresql://..."
            )
        return self

    @model_validator(mode="after")
    def _has_one_goal(self) -> Self:
        if self.budget_usd is not None and self.quality_floor is not None:
            raise ValueError(
                f"budget_usd is {self.budget_usd} and quality_floor is {self.quality_floor}: each "
                "sets the willingness to pay by itself, so leave out one of the two"
            )
        return self

    @model_validator(mode="after")
    def _takes_effect(self) -> Self:
        if self.sandbox == "off" and self.sandbox_url is not None:
            raise ValueError(
                f"sandbox_url is {seen(self.sandbox_url)} while sandbox is off, so nothing would "
                "ask it: leave out one of the two"
            )
        return self

    @model_validator(mode="after")
    def _is_compared(self) -> Self:
        if self.cache_embeddings is not None and self.cache != "semantic":
            raise ValueError(
                f"cache_embeddings is {seen(self.cache_embeddings)} while cache is {self.cache}, "
                "so nothing would be compared: set cache to semantic, or leave it out"
            )
        return self

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach the service."""
        return is_loopback(self.bind)

    @property
    def folder(self) -> Path:
        """Return the folder that logs may share: of the secret, and of what lies beside each."""
        if self.data is not None:
            return self.data
        return self.database.parent if isinstance(self.database, Path) else Path("data")

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
    ) -> Self:
        """Return the settings: `overrides` over the environment, over the file, over the defaults.

        raises : ConfigError naming the dial, the value seen and what would be right
        """
        environ = os.environ if environ is None else environ
        names = cls.model_fields
        given = from_file(environ, names) | from_environment(environ, names) | dict(overrides or {})
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigError("; ".join(_told(found) for found in error.errors())) from error

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


def _told(found: ErrorDetails) -> str:
    """Return one mistake in a sentence; a value that may hold a secret is not repeated."""
    if not found["loc"]:
        return right(found)
    dial = str(found["loc"][0])
    value = "not right" if dial in MAY_BE_SECRET else seen(found["input"])
    return f"{PREFIX}{dial.upper()} is {value}: {right(found)}"
