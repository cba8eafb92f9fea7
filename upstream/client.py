"""The only file that speaks to a model provider: one openai client for each, used in raw mode.

The client retries nothing, follows no redirect and parses no model objects: whether, where and when
to try again is the router's decision, and a success is what `upstream/answers.py` says it is.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, NoReturn, Self, cast

import httpx2
import openai

from policy import VERSION
from policy.errors import ConfigError, NotServed, UpstreamUnauthorised
from policy.types import Arm, Timeouts
from upstream.answers import Answer, Blank, model_of, parsed, read_answer
from upstream.catalogue import Catalogue, Provider, key_of
from upstream.deadlines import Deadline
from upstream.faults import Faults
from upstream.include_usage import IncludeUsage
from upstream.passing import Passed
from upstream.stream import Stream
from upstream.transport import BodyTooLarge, Calls, read_once
from upstream.usage import answer_tokens, usage_of

UNHURRIED = Timeouts()
OPTIONS: openai.RequestOptions = {
    "headers": {},
    "max_retries": 0,
    "timeout": None,
    "idempotency_key": "not sent",
    "security": {"bearer_auth": True},
}
"""What is not given the library draws, or copies from its defaults, anew for every call."""


class Upstream:
    """The providers of a catalogue that may change while calls are made; safe for many threads.

    raises : ConfigError when a key is missing from the environment at the start
    """

    def __init__(self, catalogue: Callable[[], Catalogue], environ: Mapping[str, str]) -> None:
        self._catalogue = catalogue
        self._environ = environ
        self._lock = threading.Lock()
        self._clients: dict[Provider, openai.OpenAI] = {}
        self._keys: list[str] = []  # only grows: faults under way see what comes
        self._include_usage = IncludeUsage()
        providers = catalogue().providers
        for provider in providers.values():
            self._client(provider, providers)

    def answer(self, arm: Arm, body: Mapping[str, Any], *, excused: bool = False) -> Answer:
        """Return the whole answer to a chat-completions body that has no `model` and no `stream`.

        It may say nothing if that is `excused`.

        raises : UpstreamError
        """
        deadline, faults = Deadline(arm.timeouts), self._faults(arm, body)
        with closing(self._ask(arm, body, deadline, faults)) as response:
            raw, ttft_s = _whole(response, deadline, faults)
        try:
            data = parsed(raw)
            counted = partial(usage_of, data.get("usage"), arm, body)
            faults.used = lambda: counted(0)
            faults.check(data)
            usage = counted(answer_tokens(data))
            faults.used = lambda: usage
            text, finish_reason = read_answer(data, excused=excused)
        except Blank as error:
            raise faults.blank(error.reason) from error
        except (ValueError, RecursionError) as error:
            raise faults.invalid(f"sent no answer: {error}") from error
        model, latency_s = model_of(data, arm), deadline.elapsed_s()
        return Answer(text, finish_reason, usage, model, data, latency_s, ttft_s)

    def stream(self, arm: Arm, body: Mapping[str, Any], *, excused: bool = False) -> Stream:
        """Return the answer as a stream whose first content has come.

        The provider is asked for usage, in a frame of its own before the end, if it takes that.

        raises : UpstreamError
        """
        deadline, faults = Deadline(arm.timeouts), self._faults(arm, body)
        whom = (self._catalogue().providers.get(arm.provider), arm.model)
        send = partial(self._ask, arm, deadline=deadline, faults=faults)
        response = self._include_usage.stream(whom, body, send)
        if _is_no_stream(response):
            with closing(response):
                _reject_page(_whole(response, deadline, faults)[0], arm, body, faults)
        received = _received(response, deadline, faults)
        return Stream(arm, body, received, response.close, deadline, faults, excused=excused)

    def pass_on(
        self, endpoint: str, body: Mapping[str, Any], timeouts: Timeouts = UNHURRIED
    ) -> Passed:
        """Return what the provider that `passes_on` this endpoint answers to a body as it came.

        raises : NotServed if no provider of the catalogue does; UpstreamError
        """
        providers = self._catalogue().providers.values()
        provider = next((each for each in providers if endpoint in each.passes_on), None)
        if provider is None:
            raise NotServed(
                f"no provider here takes {endpoint}; one does when its table in the catalogue "
                f'says passes_on = ["{endpoint}"]'
            )
        deadline, faults = Deadline(timeouts), Faults(provider.name, self._keys, body)
        response = self._send(provider.name, f"/{endpoint}", body, deadline, faults)
        kind = _kind(response)
        if "html" in kind.lower():
            response.close()
            raise faults.invalid("sent a page instead of an answer")
        received = _received(response, deadline, faults, renews=True)
        return Passed(kind, received, response.close)

    def close(self) -> None:
        """Close every connection to every provider."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _ask(
        self, arm: Arm, body: Mapping[str, Any], deadline: Deadline, faults: Faults
    ) -> httpx2.Response:
        asked = {**body, **arm.extra_body, "model": arm.model}
        return self._send(arm.provider, "/chat/completions", asked, deadline, faults)

    def _send(
        self, provider: str, path: str, body: Mapping[str, Any], deadline: Deadline, faults: Faults
    ) -> httpx2.Response:
        client = self._client_of(provider, faults)
        content = json.dumps(body, allow_nan=False).encode()
        with _in_our_words(deadline, faults), deadline.active():
            response = client.post(
                # Whole, because joining it to the client's own takes longer than a dictionary.
                f"{str(client.base_url).removesuffix('/')}{path}",
                cast_to=httpx2.Response,
                content=content,
                options=OPTIONS,
                stream=True,
                stream_cls=openai.Stream[Any],
            )
        # Asked for the response itself, the library hands it out unread, whatever its types say.
        return cast(httpx2.Response, response)

    def _faults(self, arm: Arm, body: Mapping[str, Any]) -> Faults:
        faults = Faults(arm.name, self._keys, body)
        faults.used = lambda: usage_of(None, arm, body, 0)
        return faults

    def _client_of(self, name: str, faults: Faults) -> openai.OpenAI:
        providers = self._catalogue().providers
        provider = providers.get(name)
        if provider is None:
            raise faults.unsent(f"{name} is no longer in the catalogue")
        try:
            return self._client(provider, providers)
        except ConfigError as error:
            # A provider that came with a changed catalogue: others may still answer.
            raise UpstreamUnauthorised(error.message, arm=faults.arm) from error

    def _client(self, provider: Provider, known: Mapping[str, Provider]) -> openai.OpenAI:
        with self._lock:
            for gone in self._clients.keys() - set(known.values()):
                self._clients.pop(gone).close()  # a call under way ends by itself
            if provider not in self._clients:
                key = key_of(provider, self._environ)
                self._keys.append(key)
                self._clients[provider] = _openai_client(provider, key)
            return self._clients[provider]


class _Client(openai.OpenAI):
    """The openai client, which tells a provider nothing of the machine it runs on.

    What it does not find under these names any more, it does its own way, which only takes longer.
    """

    def platform_headers(self) -> dict[str, str]:
        """Return no header: six fewer to merge, check and send with every call."""
        return {}

    def _prepare_url(self, url: str) -> httpx2.URL:
        """Return where a call goes, which is given whole."""
        return read_once(url)


def _openai_client(provider: Provider, key: str) -> openai.OpenAI:
    client = _Client(
        api_key=key,
        base_url=provider.base_url,
        max_retries=0,
        timeout=None,
        default_headers={"Accept-Encoding": "identity", "User-Agent": f"turnpike/{VERSION}"},
        http_client=Calls(provider.base_url),
    )
    # Read from the environment by the library, and nobody's business but OpenAI's.
    client.organization = client.project = None
    return client


def _received(
    response: httpx2.Response, deadline: Deadline, faults: Faults, *, renews: bool = False
) -> Iterator[bytes]:
    """Yield what comes in; `renews` counts every piece as content, for who cannot tell."""
    with _in_our_words(deadline, faults):
        for piece in response.iter_raw():
            came_s = deadline.elapsed_s()
            yield piece
            deadline.read_s += deadline.elapsed_s() - came_s
            if renews:
                deadline.wait_for_more()


def _whole(response: httpx2.Response, deadline: Deadline, faults: Faults) -> tuple[bytes, float]:
    """Return the body and the seconds after which it began; blank lines only keep a call alive."""
    raw, ttft_s = bytearray(), 0.0
    for piece in _received(response, deadline, faults):
        raw += piece
        if piece.strip():
            ttft_s = ttft_s or deadline.elapsed_s()
            deadline.wait_for_more()
    return bytes(raw), ttft_s


def _kind(response: httpx2.Response) -> str:
    """Return the type that a provider tells; one that our own header could not hold is none."""
    kind: str = response.headers.get("Content-Type", "")
    return kind if kind.isascii() and kind.isprintable() and kind else "application/json"


def _is_no_stream(response: httpx2.Response) -> bool:
    kind = response.headers.get("Content-Type", "").lower()
    return "json" in kind or "html" in kind


def _reject_page(raw: bytes, arm: Arm, body: Mapping[str, Any], faults: Faults) -> NoReturn:
    try:
        data = parsed(raw)
    except ValueError as error:
        start = raw[:80].decode(errors="replace")
        raise faults.invalid("sent a page instead of a stream: ", start) from error
    counted = partial(usage_of, data.get("usage"), arm, body)
    faults.used = lambda: counted(0)
    faults.check(data)
    with suppress(ValueError):  # of what is no answer the prompt alone is counted
        usage = counted(answer_tokens(data))
        faults.used = lambda: usage
    raise faults.invalid("sent one JSON body instead of a stream")


@contextmanager
def _in_our_words(deadline: Deadline, faults: Faults) -> Iterator[None]:
    """Turn what the libraries raise into our errors."""
    try:
        yield
    except openai.APIStatusError as error:
        # Not chained: the library's error quotes the provider, and providers quote keys.
        raise faults.refused(error.status_code, error.body, error.response.headers) from None
    except (openai.APITimeoutError, httpx2.TimeoutException) as error:
        if isinstance(error.__cause__, httpx2.ConnectTimeout):
            raise faults.unsent("took no connection in time", late=True) from error
        what = f"was late: {deadline.late()}"
        if isinstance(error.__cause__, httpx2.WriteTimeout):
            raise faults.unsent(what, late=True) from error
        raise faults.late(what) from error
    except BodyTooLarge as error:
        raise faults.invalid(f"sent {error}") from error
    except (openai.APIConnectionError, httpx2.HTTPError) as error:
        broke, said = "broke the connection: ", str(error.__cause__ or error)
        if isinstance(error.__cause__, httpx2.ConnectError | httpx2.WriteError):
            reached = isinstance(error.__cause__, httpx2.WriteError)
            raise faults.unsent(broke if reached else "cannot be reached: ", said) from error
        raise faults.broken(broke, said) from error
