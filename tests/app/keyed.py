"""Keys for a running service, and requests that carry them."""

import secrets
from typing import Any

from werkzeug.test import TestResponse

from app.keys.keyring import digest
from app.keys.subkeys import subkeys
from storage.keys import Revocation
from tests.app.running import SUM, Running
from tests.storage.rounds import NOON_S, but
from tests.storage.test_keys import PLAIN


class Keyed:
    """Somebody with a key of its own; `headers` carry it."""

    def __init__(self, service: Running, name: str = "shop", **more: Any) -> None:
        self.service, self.key = service, f"tpk_{secrets.token_urlsafe(32)}"
        settings = service.parts.settings
        hashed = digest(subkeys(settings), self.key)
        fields = {"tenant": name, "scopes": ("complete", "feedback", "read"), **more}
        self.row = but(PLAIN, id=secrets.token_hex(4), name=name, digest=hashed, **fields)
        assert service.parts.log.receive(self.row.id, "key", NOON_S, [self.row]).wait()
        service.parts.keyring.follow()
        self.headers = {"Authorization": f"Bearer {self.key}"}

    def open(self, method: str, path: str, body: object = None) -> TestResponse:
        with self.service.client.application.test_client() as client:
            return client.open(path, method=method, json=body, headers=self.headers)

    def post(self, path: str, body: object) -> TestResponse:
        return self.open("POST", path, body)

    def get(self, path: str) -> TestResponse:
        return self.open("GET", path)

    def ask(self, prompt: str = SUM, **more: Any) -> Any:
        response = self.post("/complete", {"prompt": prompt, **more})
        assert response.status_code == 200, response.text
        return response.json

    def refused(self, path: str, body: object) -> tuple[int, str]:
        response = self.post(path, body)
        assert response.json is not None
        return response.status_code, response.json["error"]["code"]

    def revoke(self) -> None:
        end = Revocation(key_id=self.row.id, at_s=NOON_S)
        assert self.service.parts.log.receive(f"end of {self.row.id}", "r", NOON_S, [end]).wait()
        self.service.parts.keyring.follow()
