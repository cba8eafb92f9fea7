"""Is a provider there, and does it take our key? Its list of models is asked, which is free."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import httpx2

from policy.errors import ConfigError, UpstreamError
from policy.types import Timeouts
from upstream.catalogue import Provider, key_of
from upstream.deadlines import Deadline
from upstream.redact import redacted
from upstream.transport import Calls

WITHIN_S = 5.0
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Reached:
    """What a provider said; `status` is None where nothing came that is an answer."""

    status: int | None
    says: str

    @property
    def refuses(self) -> bool:
        """Return whether it did not take our key, or none."""
        return self.status in REFUSED

    @property
    def fails(self) -> bool:
        """Return whether calls to it cannot be expected to come to anything."""
        return self.status is None or self.status // 100 in (3, 5)


def reach(provider: Provider, environ: Mapping[str, str]) -> Reached:
    """Return whether the provider answers, asked with its key where there is one."""
    try:
        with asked(provider, environ, WITHIN_S) as response:
            return Reached(response.status_code, told(response))
    except (ConfigError, UpstreamError) as error:
        return Reached(None, f"cannot be reached: {error.message}")


@contextmanager
def asked(
    provider: Provider, environ: Mapping[str, str], within_s: float
) -> Iterator[httpx2.Response]:
    """Yield what a provider answers when asked for its models, on the way that calls take.

    raises : UpstreamError if nothing comes that is an answer; ConfigError for a key that is none
    """
    key = key_of(provider, environ) if environ.get(provider.api_key_env or "") else ""
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
    url = f"{provider.base_url.rstrip('/')}/models"
    try:
        with (
            closing(Calls(provider.base_url)) as calls,
            Deadline(Timeouts(within_s, within_s, within_s, within_s)).active(),
            closing(calls.send(calls.build_request("GET", url, headers=headers))) as response,
        ):
            yield response
    except httpx2.HTTPError as error:
        why = redacted(str(error), (key,))
        raise UpstreamError(why, arm=provider.name) from error


def told(response: httpx2.Response) -> str:
    """Return in words how a provider answered; whither it sends us is told without the path."""
    if not response.has_redirect_location:
        return f"answers ({response.status_code})"
    try:
        to = urlsplit(urljoin(str(response.request.url), response.headers["Location"]))
        whither = f"{to.scheme}://{to.netloc.rpartition('@')[2]}"
    except ValueError:
        whither = "no address"
    return redacted(f"answers with a redirect to {whither} ({response.status_code})")
