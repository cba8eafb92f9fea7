"""What a provider lists at `/models`: which models there are, and what it says of each."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from policy.errors import UpstreamError
from upstream.catalogue import Provider
from upstream.fields import ARM
from upstream.reach import asked
from upstream.redact import redacted

WITHIN_S = 20.0
MOST_BYTES = 16 * 1024 * 1024
PER_MTOK = 1e6
MODEL = ARM["model"]
WINDOWS = ("context_window", "context_length", "max_model_len", "max_context_length")


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as its provider lists it; None where the provider does not say."""

    model: str
    context_window: int | None = None
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None

    @property
    def is_priced(self) -> bool:
        """Return whether the provider says all that a catalogue must have."""
        known = (self.context_window, self.input_usd_per_mtok, self.output_usd_per_mtok)
        return None not in known


def listing(provider: Provider, environ: Mapping[str, str]) -> list[Listed]:
    """Return the models that a provider lists, in its order; names no catalogue takes are left out.

    raises : UpstreamError if it cannot be reached, refuses, or answers something else
    """
    try:
        with urlopen(asked(provider, environ), timeout=WITHIN_S) as response:  # noqa: S310
            told = json.loads(response.read(MOST_BYTES))
        return [each for each in _models(told) if MODEL.holds(each.model)]
    except HTTPError as error:
        with error:
            raise _refusal(provider, environ, error) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refusal(provider, environ, error) from error


def _refusal(provider: Provider, environ: Mapping[str, str], error: Exception) -> UpstreamError:
    key = environ.get(provider.api_key_env or "", "")
    why = redacted(str(error), (key,) if key else ())
    says = f"{provider.name} lists no models: {why}; check base_url, key and network"
    return UpstreamError(says, arm=provider.name)


def _models(told: Any) -> Iterator[Listed]:
    """Yield the models of a list as OpenAI gives it, or of a bare one."""
    for each in told["data"] if isinstance(told, dict) and "data" in told else told:
        window = next((each[name] for name in WINDOWS if _is_count(each.get(name))), None)
        pricing = each.get("pricing") if isinstance(each.get("pricing"), dict) else {}
        paid = _usd(pricing, "prompt", "input"), _usd(pricing, "completion", "output")
        yield Listed(str(each["id"]), window, *paid)


def _usd(pricing: Mapping[str, Any], per_token: str, per_mtok: str) -> float | None:
    """Return a price in dollars per million tokens, of the two ways in which providers tell it."""
    for name, factor in ((per_token, PER_MTOK), (per_mtok, 1.0)):
        try:
            usd = float(pricing[name]) * factor
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(usd) and usd >= 0:
            return round(usd, 9)
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
