"""Is a provider there, and does it take our key? Its list of models is asked, which is free."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from upstream.catalogue import Provider
from upstream.redact import redacted

WITHIN_S = 5.0
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Reached:
    """What a provider said: `refuses` means that it did not take our key, or none."""

    answers: bool
    refuses: bool
    says: str


def reach(provider: Provider, environ: Mapping[str, str], within_s: float = WITHIN_S) -> Reached:
    """Return whether the provider answers, asked with its key where there is one."""
    key = environ.get(provider.api_key_env or "", "")
    try:
        with urlopen(asked(provider, environ), timeout=within_s) as response:  # noqa: S310
            return Reached(True, False, f"answers ({response.status})")
    except HTTPError as error:
        with error:
            return Reached(True, error.code in REFUSED, f"answers ({error.code})")
    except (OSError, ValueError) as error:
        return Reached(False, False, redacted(f"cannot be reached: {error}", (key,) if key else ()))


def asked(provider: Provider, environ: Mapping[str, str]) -> Request:
    """Return the request for a provider's list of models, with its key where there is one."""
    key = environ.get(provider.api_key_env or "", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # The catalogue has checked that the address is http or https.
    return Request(f"{provider.base_url}/models", headers=headers)  # noqa: S310
