"""Without a key the service is this machine's alone: no site may point its own name at it."""

from collections.abc import Iterator

import pytest

from app.api.access import scope_of
from tests.app.running import Provider, Running, running


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("opened"), sandbox_url=provider.url) as made:
        yield made


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.7:8000", "127.0.0.1.evil.example"])
def test_without_a_key_no_foreign_name_leads_to_any_endpoint(opened: Running, host: str) -> None:
    app = opened.client.application
    views = app.view_functions
    closed = [rule for rule in app.url_map.iter_rules() if scope_of(views[rule.endpoint])]
    assert len(closed) > 20
    for rule in closed:
        path = rule.build(dict.fromkeys(rule.arguments, "1"), append_unknown=False)[1]
        for method in sorted(rule.methods & {"GET", "POST", "DELETE"}):
            answer = opened.client.open(path, method=method, headers={"host": host}, json={})
            assert answer.status_code == 403, (method, path)
            assert "TURNPIKE_API_KEY" in answer.text
    assert opened.get("/policy")["counts"]["decisions"] == 0


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_without_a_key_this_machine_may(opened: Running, host: str) -> None:
    assert opened.client.get("/policy", headers={"host": host}).status_code == 200
