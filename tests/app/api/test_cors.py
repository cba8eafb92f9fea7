"""Browsers on listed sites may send feedback; nothing else is opened to anybody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from policy.errors import ConfigError
from tests.app.keyed import Keyed
from tests.app.running import Provider, Running, running

SHOP, EVIL = "https://shop.example", "https://evil.example"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    dials = {"sandbox_url": provider.url, "cors_origins": f"{SHOP}, http://localhost:3000"}
    with running(tmp_path_factory.mktemp("cors"), **dials) as service:
        yield service


def allowed(service: Running, origin: str, path: str = "/feedback") -> dict[str, str]:
    headers = {"origin": origin, **PREFLIGHT}
    response = service.client.open(path, method="OPTIONS", headers=headers)
    return {
        name.lower(): value
        for name, value in response.headers
        if name.lower().startswith("access-control-")
    }


def test_a_preflight_of_a_listed_site_is_allowed_what_feedback_needs(listed: Running) -> None:
    assert allowed(listed, SHOP) == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-max-age": "600",
    }
    assert allowed(listed, "http://localhost:3000")["access-control-allow-origin"] == (
        "http://localhost:3000"
    )


@pytest.mark.parametrize("origin", [EVIL, SHOP + ".evil.example", SHOP + ":444", "null", ""])
def test_another_site_is_allowed_nothing(listed: Running, origin: str) -> None:
    assert allowed(listed, origin) == {}


@pytest.mark.parametrize("path", ["/complete", "/policy", "/decisions/x", "/cache", "/v1/models"])
def test_no_other_endpoint_is_opened_even_to_a_listed_site(listed: Running, path: str) -> None:
    assert allowed(listed, SHOP, path) == {}
    response = listed.client.get(path, headers={"origin": SHOP})
    assert "access-control-allow-origin" not in response.headers


def test_the_answer_and_the_error_may_be_read_and_no_cookie_is_let_through(listed: Running) -> None:
    answer = Keyed(listed, f"shop{id(listed)}").ask()
    body = {"id": answer["id"], "thumbs": "up", "feedback_token": answer["feedback_token"]}
    for sent, status in ((body, 200), ({**body, "feedback_token": "tpf_1_x"}, 401)):
        response = listed.client.post("/feedback", json=sent, headers={"origin": SHOP})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == SHOP
        assert "origin" in response.headers["vary"].lower()
        assert "access-control-allow-credentials" not in response.headers


def test_without_a_list_no_site_is_allowed(shared: Running) -> None:
    assert allowed(shared, SHOP) == {}


@pytest.mark.parametrize("given", ["*", "shop.example", "https://shop.example/", "https://A.b"])
def test_what_is_no_origin_stops_the_start(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match="in it is no origin: it must be like https://shop"):
        Settings.load({}, {"cors_origins": given})
