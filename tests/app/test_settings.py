"""Settings: what starts, what stops the start, and that it says which name was meant."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from app.given import CONFIG, PREFIX
from app.settings import Settings
from policy.errors import ConfigError
from storage.place import shown

KEY = "0123456789abcdef"


def refusal(**variables: str) -> str:
    with pytest.raises(ConfigError) as refused:
        Settings.load({PREFIX + name.upper(): value for name, value in variables.items()})
    return refused.value.message


@pytest.fixture
def turnpike_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "turnpike.toml"


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.load({})
    assert settings.bind == "127.0.0.1:8000"
    assert settings.policy == "thompson"


def test_every_dial_has_a_default_and_a_sentence() -> None:
    for name, dial in Settings.model_fields.items():
        assert not dial.is_required(), name
        assert re.fullmatch(r"[A-Z].*\.", dial.description or ""), name


def test_every_number_says_its_unit_in_its_name() -> None:
    bare = {"connections", "retrain_first_outcomes", "cache_max_answers", "cache_similarity"}
    bare |= {"workers"}
    numbers = {
        name
        for name, value in Settings.load({}).model_dump().items()
        if type(value) in {int, float}
    }
    assert {n for n in numbers if not n.endswith(("_s", "_usd", "_bytes", "_days"))} == bare


def test_the_environment_wins_over_the_file_and_the_command_over_both(turnpike_toml: Path) -> None:
    turnpike_toml.write_text("connections = 10\nretrain_every_s = 60\nlog_level = 'debug'\n")
    environ = {"TURNPIKE_CONNECTIONS": "20", "TURNPIKE_LOG_LEVEL": "error"}
    settings = Settings.load(environ, {"log_level": "warning"})
    assert (settings.connections, settings.retrain_every_s, settings.log_level) == (
        20,
        60.0,
        "warning",
    )


def test_the_file_may_be_named(tmp_path: Path) -> None:
    named = tmp_path / "other.toml"
    named.write_text('policy = "fixed:small"')
    assert Settings.load({CONFIG: str(named)}).policy == "fixed:small"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone.toml cannot be read"):
        Settings.load({CONFIG: str(tmp_path / "gone.toml")})


@pytest.mark.parametrize("text", [b"connections = ", b"connections = 5 \xff"])
def test_a_file_that_is_no_toml_stops_the_start(turnpike_toml: Path, text: bytes) -> None:
    turnpike_toml.write_bytes(text)
    with pytest.raises(ConfigError, match="turnpike.toml cannot be read"):
        Settings.load({})


def test_a_misspelt_key_in_the_file_stops_the_start(turnpike_toml: Path) -> None:
    turnpike_toml.write_text("max_body_byte = 5000\n")
    with pytest.raises(ConfigError, match="did you mean max_body_bytes?"):
        Settings.load({})


def test_true_in_the_file_is_not_one(turnpike_toml: Path) -> None:
    turnpike_toml.write_text("retrain_every_s = true\n")
    with pytest.raises(ConfigError, match="TURNPIKE_RETRAIN_EVERY_S is true: it must not be true"):
        Settings.load({})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("TURNPIKE_CONECTIONS", "TURNPIKE_CONNECTIONS"),
        ("turnpike_connections", "TURNPIKE_CONNECTIONS"),
        ("TURNPIKE_POLCY", "TURNPIKE_POLICY"),
        ("TURNPIKE_CONFG", "TURNPIKE_CONFIG"),
    ],
)
def test_a_misspelt_variable_stops_the_start(written: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"'{written}' in the environment .*did you mean {meant}"):
        Settings.load({written: "1"})


def test_a_variable_that_resembles_nothing_is_told_what_there_is() -> None:
    assert "the settings are TURNPIKE_ARMS, " in refusal(xyzzy="1")


def test_variables_of_others_are_none_of_our_business() -> None:
    assert Settings.load({"PATH": "/bin", "THREADS": "x"}) == Settings.load({})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("connections", "many", "TURNPIKE_CONNECTIONS is 'many': it must be a valid integer"),
        ("connections", "1", "TURNPIKE_CONNECTIONS is '1': it must be greater than or equal to 2"),
        ("willingness_to_pay_usd", "nan", "it must be a finite number"),
        ("willingness_to_pay_usd", "0", "it must be greater than or equal to 0.000000001"),
        ("feedback_window_s", "inf", "it must be a finite number"),
        ("feedback_window_s", "-1", "it must be greater than 0"),
        ("sandbox", "yes", "it must be 'auto', 'on' or 'off'"),
        ("policy", "tompson", "it must be one of thompson, greedy"),
        ("policy", "fixed:", "it must be one of thompson, greedy"),
        ("policy", "fixed:<arm>", "it must be one of thompson, greedy"),
        ("bind", "8000", "it must be host:port"),
        ("bind", "127.0.0.1:http", "it must be host:port"),
        ("bind", "::1:8000", "[::1]:8000"),
        ("bind", "127.0.0.1:65536", "its port must be from 1 to 65535"),
        ("sandbox_url", "ftp://host", "it must match pattern"),
        ("log_level", "loud", "it must be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_right(name: str, value: str, told: str) -> None:
    assert told in refusal(**{name: value})


@pytest.mark.parametrize("name", ["arms", "database", "data"])
def test_a_path_that_no_system_takes_is_a_wrong_value(tmp_path: Path, name: str) -> None:
    path = tmp_path / "turnpike.toml"
    path.write_text(f'{name} = "a\\u0000b"')
    with pytest.raises(ConfigError, match=f"TURNPIKE_{name.upper()} is .*: it must be a path"):
        Settings.load({"TURNPIKE_CONFIG": str(path)})


@pytest.mark.parametrize("name", ["arms", "database", "data"])
def test_a_path_that_is_empty_is_no_folder_of_ours(name: str) -> None:
    assert "it must be a path, and none is empty" in refusal(**{name: ""})


def test_a_folder_is_no_log_whoever_answers(tmp_path: Path) -> None:
    for sandbox in ("on", "off"):
        told = refusal(database=str(tmp_path), sandbox=sandbox)
        assert f"it must be the path of an SQLite file, and {tmp_path} is a folder" in told


def test_all_mistakes_are_told_at_once() -> None:
    told = refusal(connections="0", log_level="loud")
    assert "TURNPIKE_CONNECTIONS" in told
    assert "TURNPIKE_LOG_LEVEL" in told


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.9.9.9:8000", "[::1]:8000", "localhost:65535"])
def test_loopback_is_known(bind: str) -> None:
    assert Settings.load({"TURNPIKE_BIND": bind}).is_loopback


@pytest.mark.parametrize("bind", ["0.0.0.0:8000", "[::]:8000", "10.0.0.7:8000", "example.org:80"])
def test_what_can_be_reached_from_outside_is_known(bind: str) -> None:
    assert not Settings.load({"TURNPIKE_BIND": bind}).is_loopback


@pytest.mark.parametrize(
    "key", ["", "short", "fifteen-letters", "with space 0123456", "schlüssel-123456"]
)
def test_a_key_that_cannot_be_sent_or_can_be_guessed_is_refused_unseen(key: str) -> None:
    told = refusal(api_key=key)
    assert "TURNPIKE_API_KEY is not right: it must be 16 to 256" in told
    assert not key or key not in told


def test_a_key_is_never_shown() -> None:
    settings = Settings.load({"TURNPIKE_API_KEY": KEY})
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    assert KEY not in repr(settings) + str(settings) + settings.model_dump_json()


def test_another_database_is_refused_without_showing_its_password() -> None:
    told = refusal(database="mysql://turnpike:geheim@host/log")
    assert "path of an SQLite file" in told
    assert "geheim" not in told


@pytest.mark.parametrize("password", ["pa/geheim", "geh#eim", "geh?eim", "[geheim", "%geheim"])
def test_a_password_whose_end_nobody_could_tell_is_refused_unshown(password: str) -> None:
    told = refusal(database=f"postgresql://ann:{password}@host/log")
    assert "with @ / ? # [ ] % of a user or a password as %40 %2F" in told
    assert "geh" not in told
    right = f"postgresql://ann:{quote(password, safe='')}@[::1]:5432/log?sslmode=require"
    assert Settings.load({}, {"database": right}).database == right
    assert shown(right) == "postgresql://ann@[::1]:5432/log"


@pytest.mark.parametrize("host", ["[::1", "::1]", "[]", "[host]"])
def test_a_database_at_no_address_is_refused(host: str) -> None:
    told = refusal(database=f"postgresql://ann:geheim@{host}/log")
    assert "postgresql://user:password@host/name" in told
    assert "geheim" not in told


def test_the_password_of_a_database_is_not_shown() -> None:
    settings = Settings.load({"TURNPIKE_DATABASE": "postgresql://turnpike:geheim@host/log"})
    assert settings.database == "postgresql://turnpike:geheim@host/log"
    assert "geheim" not in repr(settings) + str(settings)
    assert settings.folder == Path("data")


def test_what_lies_beside_the_log_lies_where_it_is_told() -> None:
    assert Settings.load({"TURNPIKE_DATABASE": "a/b.db"}).folder == Path("a")
    assert Settings.load({"TURNPIKE_DATA": "c"}).folder == Path("c")


def test_only_postgresql_takes_more_than_one_worker() -> None:
    assert "only one process may write" in refusal(workers=2)
    assert Settings.load({}, {"workers": 2, "database": "postgresql://host/log"}).workers == 2


def test_an_address_of_a_sandbox_that_is_off_is_refused() -> None:
    assert "sandbox is off" in refusal(sandbox="off", sandbox_url="http://127.0.0.1:9/v1")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load({}).connections = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.org/x",
        "ftp://hooks.example.com/",
        "http:///x",
        "http://:80/",
        "http://127.0.0.1:0/x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:port/x",
        "http://[::1/",
        "http://hooks.example.com/\u00fc",
        "http://hooks.example.com/a b",
        f"http://{'a' * 70}.example/",
        "http://hooks..example/",
    ],
)
def test_a_webhook_that_nothing_can_be_sent_to_stops_the_start(url: str) -> None:
    told = refusal(alarm_webhook=url)
    assert "such as https://hooks.example.com/turnpike" in told
    assert url not in told


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com", "http://[::1]:80/x?y=z", "http://localhost:8080/a/b"]
)
def test_a_webhook_may_have_any_place(url: str) -> None:
    settings = Settings.load({"TURNPIKE_ALARM_WEBHOOK": url})
    assert settings.alarm_webhook is not None
    assert settings.alarm_webhook.get_secret_value() == url
