"""The operator's page of settings: what is set, what is reachable; no secret, nothing to change."""

import os
import time
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from app.given import PREFIX
from app.monitoring.doctor import Finding, findings
from app.processes.orphan import PARENT
from app.settings import MAY_BE_SECRET, Settings
from app.wiring import Parts

LOOKED_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Dial:
    """One setting as it is in force."""

    name: str
    value: str
    is_default: bool
    is_derived: bool
    says: str


def settings(parts: Parts) -> dict[str, Any]:
    """Return what the page shows."""
    catalogue = parts.catalogue()
    dials = [dial(parts.settings, name) for name in Settings.model_fields]
    return {
        "dials": sorted(dials, key=lambda each: (each.is_default, each.is_derived)),
        "arms": list(catalogue.arms.values()),
        "providers": [
            (each, None if each.api_key_env is None else bool(os.environ.get(each.api_key_env)))
            for each in parts.file.current().providers.values()
        ],
        "catalogue_error": parts.file.error,
        "catalogue_path": parts.settings.arms,
        "started_at_s": parts.started_at_s,
    }


def dial(given: Settings, name: str) -> Dial:
    """Return a setting; of one that may be secret, only whether it is set."""
    field, value = Settings.model_fields[name], getattr(given, name)
    if isinstance(value, SecretStr) or (name in MAY_BE_SECRET and "://" in str(value)):
        shown = "set, and not shown"
    elif value is None:
        shown = "not set"
    elif isinstance(value, float):
        shown = f"{value:.12g}"
    else:
        shown = str(value)
    is_default = value == field.default
    is_derived = not is_default and name in _derived(given)
    return Dial(f"{PREFIX}{name.upper()}", shown, is_default, is_derived, field.description or "")


def _derived(given: Settings) -> frozenset[str]:
    """Return the dials that are decided at the start, by whether the sandbox answers."""
    ours = {"sandbox", "sandbox_url"} if PARENT in os.environ else {"sandbox"}
    return frozenset(ours | {"database", "data"} if given.sandbox == "on" else ours)


class Doctor:
    """The doctor's findings, looked for again no more often than twice a minute."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self._of: Parts | None = None
        self._at_s = 0.0

    def found(self, parts: Parts) -> list[Finding]:
        """Return what is configured, reachable and learning; providers are asked for it."""
        if self._of is not parts or time.monotonic() - self._at_s >= LOOKED_EVERY_S:
            self._found = list(findings(parts.settings, parts.file.current()))
            self._of, self._at_s = parts, time.monotonic()
        return self._found
