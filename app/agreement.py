"""Settings that are each right by themselves, and do not agree with the catalogue or each other."""

from pydantic import SecretStr

from app.mistakes import seen
from app.settings import Settings
from policy.errors import ConfigError
from upstream.catalogue import Catalogue

EXAMPLE = "change-me"
"""So begins what stands in an example in place of a secret, for everybody to read."""


def require_agreement(settings: Settings, catalogue: Catalogue) -> None:
    """Refuse settings under which no service can start, and catalogues that do not fit them.

    raises : ConfigError if an arm is named that is not there, or answers would be stored of which
             nothing may be kept, or a dial does nothing, or a secret is that of the example
    """
    _require_own("TURNPIKE_API_KEY", settings.api_key)
    _require_own("TURNPIKE_SECRET", settings.secret)
    kind, _, fixed = settings.policy.partition(":")
    if kind == "fixed":
        _require_arm("TURNPIKE_POLICY", fixed, catalogue)
    if settings.baseline is not None:
        _require_arm("TURNPIKE_BASELINE", settings.baseline, catalogue)
    if settings.prompts == "off" and settings.cache in {"exact", "semantic"}:
        raise ConfigError(
            f"TURNPIKE_CACHE is {settings.cache} while TURNPIKE_PROMPTS is off, and what is stored "
            "may repeat its prompt: set the cache to off, or keep at least hashes of prompts"
        )
    _require_effect(settings, catalogue)


def _require_effect(settings: Settings, catalogue: Catalogue) -> None:
    """Refuse what somebody has set and nothing would heed."""
    given = settings.model_fields_set
    if "budget_per" in given and settings.budget_usd is None:
        raise ConfigError(
            f"TURNPIKE_BUDGET_PER is {settings.budget_per} and says what TURNPIKE_BUDGET_USD is "
            "for: set both, or neither"
        )
    model = settings.cache_embeddings
    if "cache_similarity" in given and model is None:
        raise ConfigError(
            f"TURNPIKE_CACHE_SIMILARITY is {settings.cache_similarity:g}, and without "
            "TURNPIKE_CACHE_EMBEDDINGS nothing would be compared: set both, or neither"
        )
    passing = any("embeddings" in each.passes_on for each in catalogue.providers.values())
    if model is not None and not passing:
        raise ConfigError(
            f"TURNPIKE_CACHE_EMBEDDINGS is {seen(model)}, and no provider takes embeddings: write "
            'passes_on = ["embeddings"] in the table of the one that does, or leave it out'
        )


def _require_own(dial: str, value: SecretStr | None) -> None:
    if value is not None and value.get_secret_value().startswith(EXAMPLE):
        raise ConfigError(
            f"{dial} begins with {EXAMPLE!r}, as the one in the example does that everybody can "
            "read: put in your own"
        )


def _require_arm(dial: str, arm: str, catalogue: Catalogue) -> None:
    if arm not in catalogue.arms:
        raise ConfigError(
            f"{dial} names {arm!r}, and there is no such arm; "
            f"the arms are {', '.join(catalogue.arms)}"
        )
