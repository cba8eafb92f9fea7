"""What a provider lists at `/models`: which models there are, and what it says of each."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from policy.errors import UpstreamError
from upstream.catalogue import Provider
from upstream.fields import ARM
from upstream.reach import asked, told

WITHIN_S = 20.0
PER_MTOK = 1e6
WINDOWS = ("context_window", "context_length", "max_model_len", "max_context_length")


@dataclass(frozen=True, slots=True)
class ListedModel:
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


def listing(provider: Provider, environ: Mapping[str, str]) -> list[ListedModel]:
    """Return the models that a provider lists, in its order; names no catalogue takes are left out.

    raises : UpstreamError if it cannot be reached, refuses, or answers something else; ConfigError
    """
    try:
        with asked(provider, environ, WITHIN_S) as response:
            models = list(_models(json.loads(_read(response, provider))))
    except UpstreamError as error:
        raise _refusal(provider, error.message) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refusal(provider, "what it answers is no list of them") from error
    return [each for each in models if ARM["model"].holds(each.model)]


def _read(response: httpx2.Response, provider: Provider) -> bytes:
    if not response.is_success:
        raise UpstreamError(told(response), arm=provider.name)
    return b"".join(response.iter_raw())


def _refusal(provider: Provider, why: str) -> UpstreamError:
    says = f"{provider.name} lists no models: {why}; check base_url, key and network"
    return UpstreamError(says, arm=provider.name)


def _models(listed: Any) -> Iterator[ListedModel]:
    """Yield the models of a list as OpenAI gives it, or of a bare one."""
    holds = ARM["context_window"].holds
    for each in listed["data"] if isinstance(listed, dict) and "data" in listed else listed:
        window = next((each[name] for name in WINDOWS if holds(each.get(name))), None)
        pricing = each.get("pricing")
        paid = _usd(pricing, "prompt", "input"), _usd(pricing, "completion", "output")
        yield ListedModel(str(each["id"]), window, *paid)


def _usd(pricing: Any, per_token: str, per_mtok: str) -> float | None:
    """Return a price in dollars per million tokens, of the two ways in which providers tell it."""
    for name, factor in ((per_token, PER_MTOK), (per_mtok, 1.0)):
        try:
            usd = float(pricing[name]) * factor
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if ARM["input_usd_per_mtok"].holds(usd):
            return round(usd, 9)
    return None
