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


def post(url: str, data: Mapping[str, Any]) -> str | None:
    """Send the data; return None if it was taken, else what went wrong. Redirects are not.

    The address is never shown: such addresses hold secrets.
    """
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    headers, body = {"content-type": "application/json"}, json.dumps(data, allow_nan=False)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        to = kind(parts.hostname or "", parts.port, timeout=ANSWER_WITHIN_S)
        with closing(to) as connection:
            connection.request("POST", f"{parts.path or '/'}{query}", body.encode(), headers)
            status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:  # the last: of no URL one can send to
        return f"{type(error).__name__}: {error}"
    return None if TAKEN <= status < TAKEN + 100 else f"it answered {status}"
