"""The demo against a service that refuses what it asks."""

import pytest

from app.commands.demo import demo
from app.settings import Settings
from tests.app.keyed import Keyed
from tests.app.running import Running
from tests.app.serving import served


@pytest.mark.parametrize("scopes", [("complete", "read"), ("read",)])
def test_where_every_request_fails_that_is_said_and_nothing_compared(
    service: Running, scopes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    key = Keyed(service, scopes=scopes).key
    with served(service) as url:
        settings = Settings.load({}, {"bind": url.removeprefix("http://")})
        assert demo(settings, 4, 1.0, 0, key=key) == 1
    told = capsys.readouterr()
    assert "a request failed: POST /" in told.err
    assert told.err.endswith("every request failed, so there is nothing to compare\n")
    assert told.out == ""
