"""Telling a webhook: one POST of JSON, over within seconds, whatever is on the other side."""

import json
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

ANSWER_WITHIN_S = 5.0
TAKEN = int(HTTPStatus.OK)


class Webhook:
    """The address that is told. It is never shown: such addresses hold secrets."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def post(self, data: Mapping[str, Any]) -> str | None:
        """Send the data; return None if it was taken, else what went wrong. Redirects are not."""
        query = f"?{self._parts.query}" if self._parts.query else ""
        headers, body = {"content-type": "application/json"}, json.dumps(data, allow_nan=False)
        try:
            with closing(self._connection()) as connection:
                path = f"{self._parts.path or '/'}{query}"
                connection.request("POST", path, body.encode(), headers)
                status = connection.getresponse().status
        except (OSError, HTTPException, ValueError) as error:  # the last: of no URL one can send to
            return f"{type(error).__name__}: {error}"
        return None if TAKEN <= status < TAKEN + 100 else f"it answered {status}"

    def _connection(self) -> HTTPConnection:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=ANSWER_WITHIN_S)
