"""Keys from the command line: made once, shown once, followed by the service that runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from structlog.testing import capture_logs

from app.figures import dollars
from app.keys.holder import SCOPES
from storage.sqlite_reader import SqliteReader
from tests.app.commands.test_cli import turnpike
from tests.app.running import SUM, Provider, running

MORE = ["--tenant", "acme", "--scope", "complete,read", "--rate-limit", "60/minute",
        "--budget-usd", "5", "--budget-per", "hour", "--arms", "gpt-4o,qwen3-32b",
        "--quality-floor", "0.98"]  # fmt: skip


def made(folder: Path, *arguments: str) -> Any:
    return as_json(turnpike(folder, "keys", "create", *arguments, "--json"))


def as_json(ended: Result) -> Any:
    """Return what was printed; a service in this process may have written lines before it."""
    assert ended.exit_code == 0, ended.output
    begins = re.search(r"^[\[{]$|^\[\]$", ended.stdout, flags=re.MULTILINE)
    assert begins is not None, ended.stdout
    return json.JSONDecoder().raw_decode(ended.stdout[begins.start() :])[0]


def test_a_key_is_made_before_the_first_start_and_shown_once(tmp_path: Path) -> None:
    told = made(tmp_path, "shop", *MORE)
    with SqliteReader(tmp_path / "turnpike.db") as log:
        [standing] = log.known_keys()
    key = standing.key
    assert (key.id, key.name, key.tenant, key.scopes) == (
        told["id"], "shop", "acme", ("complete", "read"),
    )  # fmt: skip
    assert (key.rate_limit, key.budget_usd, key.budget_per) == ("60/minute", 5.0, "hour")
    assert (key.allowed_arms, key.quality_floor) == (("gpt-4o", "qwen3-32b"), 0.98)
    assert told["key"].startswith(f"tpk_{key.id}_")
    assert len(told["key"]) == 56
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert told["key"].encode() not in kept
    listed = turnpike(tmp_path, "keys", "list")
    assert told["key"] not in listed.output
    assert "shop" in listed.output


def test_a_running_service_takes_a_new_key_and_lets_go_of_a_revoked_one(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        key = made(tmp_path, "shop")["key"]
        headers = {"Authorization": f"Bearer {key}"}
        service.parts.keyring.follow()
        body = {"prompt": SUM, "models": ["glm-4-plus"]}
        assert service.client.post("/complete", json=body, headers=headers).status_code == 200
        assert service.client.get("/policy", headers=headers).status_code == 403
        [listed] = as_json(turnpike(tmp_path, "keys", "list", "--json"))
        assert 0 < listed["spent_usd"] < 5e-5  # of which four decimals would show nothing
        assert dollars(listed["spent_usd"]) in turnpike(tmp_path, "keys", "list").stdout
        ended = turnpike(tmp_path, "keys", "revoke", "shop")
        assert (ended.exit_code, "key shop (" in ended.stdout) == (0, True)
        service.parts.keyring.follow()
        assert service.client.post("/complete", json=body, headers=headers).status_code == 401


def test_a_name_serves_again_once_its_key_is_revoked(tmp_path: Path) -> None:
    first = made(tmp_path, "shop")
    taken = turnpike(tmp_path, "keys", "create", "shop")
    assert (taken.exit_code, "revoke it, or take another name" in taken.stderr) == (2, True)
    assert turnpike(tmp_path, "keys", "revoke", first["id"]).exit_code == 0
    made(tmp_path, "shop")
    rows = as_json(turnpike(tmp_path, "keys", "list", "--all", "--json"))
    assert [each["revoked_at_s"] is None for each in rows] == [False, True]
    again = turnpike(tmp_path, "keys", "revoke", first["id"])
    assert (again.exit_code, "the keys: shop" in again.stderr) == (2, True)


def test_an_option_that_lists_may_be_given_more_than_once(tmp_path: Path) -> None:
    arms = ("--arms", "gpt-4o", "--arms", "qwen3-32b,gpt-4o")
    key = made(tmp_path, "shop", "--scope", "complete", "--scope", "read,complete", *arms)
    assert (key["scopes"], key["allowed_arms"]) == (["complete", "read"], ["gpt-4o", "qwen3-32b"])
    plain = made(tmp_path, "site")
    assert (plain["scopes"], plain["allowed_arms"]) == (["complete", "feedback"], None)


def usage(folder: Path, *arguments: str) -> Result:
    ended = turnpike(folder, "keys", "create", *arguments)
    assert ended.exit_code == 2, ended.output
    return ended


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a b"], "'a b' is no name"),
        (["shop", "--scope", "complete,everything"], "'everything' cannot be one; it must be"),
        (["shop", "--rate-limit", "often"], "'often' is no rate; it must be like 60/minute"),
        (["shop", "--budget-usd", "-1"], "-1.0 is not in the range"),
        (["shop", "--budget-usd", "nan"], "'nan' is no number"),
        (["shop", "--willingness-to-pay", "nan"], "'nan' is no number"),
        (["shop", "--quality-floor", "nan"], "'nan' is no number"),
        (["shop", "--budget-per", "week"], "'week' is not one of"),
        (["shop", "--budget-per", "hour"], "--budget-per says what --budget-usd is for"),
        (["shop", "--willingness-to-pay", "1", "--quality-floor", "0.9"], "leave out one"),
        (["shop", "--budget-usd", "1", "--budget-per", "request", "--quality-floor", "0.9"],
         "a budget per request sets the price by itself"),
        ([], "Missing argument 'NAME'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_and_nothing_is_made(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    assert says in usage(tmp_path, *arguments).stderr
    assert list(tmp_path.iterdir()) == []


def test_an_arm_that_is_none_is_told(tmp_path: Path) -> None:
    ended = turnpike(tmp_path, "keys", "create", "shop", "--arms", "gpt-9")
    assert (ended.exit_code, "'gpt-9' is no arm; the arms are" in ended.stderr) == (2, True)


def test_without_any_key_the_list_says_what_to_do(tmp_path: Path) -> None:
    assert "keys create NAME" in turnpike(tmp_path, "keys", "list").stdout
    assert as_json(turnpike(tmp_path, "keys", "list", "--json")) == []
    made(tmp_path, "shop")
    assert turnpike(tmp_path, "keys", "revoke", "shop").exit_code == 0
    told = turnpike(tmp_path, "keys", "list").stdout
    assert "every key is revoked" in told
    assert "no key yet" not in told


@pytest.mark.slow
def test_a_key_is_made_listed_and_revoked_in_postgres_too(
    tmp_path: Path, postgres_url: str
) -> None:
    dials = {"TURNPIKE_DATABASE": postgres_url, "TURNPIKE_DATA": str(tmp_path)}
    key = as_json(turnpike(tmp_path, "keys", "create", "shop", "--json", **dials))
    [listed] = as_json(turnpike(tmp_path, "keys", "list", "--json", **dials))
    assert (listed["id"], listed["revoked_at_s"]) == (key["id"], None)
    assert turnpike(tmp_path, "keys", "revoke", "shop", **dials).exit_code == 0
    assert as_json(turnpike(tmp_path, "keys", "list", "--json", **dials)) == []


def findings(folder: Path, **dials: str) -> dict[str, str]:
    ended = turnpike(folder, "doctor", "--json", **dials)
    rows = json.loads(ended.stdout)
    return {each["about"]: f"{each['level']}: {each['says']}" for each in rows}


def test_the_doctor_tells_who_needs_a_key_and_whether_the_secret_is_guarded(tmp_path: Path) -> None:
    assert findings(tmp_path)["access"].startswith("note: nobody needs a key at 127.0.0.1:8000")
    made(tmp_path, "shop")
    assert findings(tmp_path)["access"] == "ok: 1 key opens the service"
    (tmp_path / "secret").chmod(0o644)
    assert findings(tmp_path)["access"].startswith("problem: ")
    assert "chmod 600" in findings(tmp_path)["access"]


def test_the_doctor_counts_the_keys_that_open_and_misses_one_where_none_does(
    tmp_path: Path,
) -> None:
    own = {"TURNPIKE_API_KEY": "correct-horse-battery"}
    none = "problem: no key opens the service; make one with "
    made(tmp_path, "shop")
    assert findings(tmp_path, **own)["access"] == "ok: 1 key and TURNPIKE_API_KEY open the service"
    made(tmp_path, "ops")
    assert findings(tmp_path)["access"] == "ok: 2 keys open the service"
    (tmp_path / "secret").rename(tmp_path / "kept")
    assert findings(tmp_path)["access"].startswith(none)
    assert "shop, ops open nothing: " in turnpike(tmp_path, "doctor").stdout
    assert findings(tmp_path, **own)["access"] == "ok: TURNPIKE_API_KEY opens the service"
    (tmp_path / "kept").rename(tmp_path / "secret")
    for name in ("shop", "ops"):
        assert turnpike(tmp_path, "keys", "revoke", name).exit_code == 0
    assert findings(tmp_path)["access"].startswith(none)


def test_help_names_every_scope(tmp_path: Path) -> None:
    told = turnpike(tmp_path, "keys", "create", "--help").stdout
    assert all(scope in told.partition("--scope")[2].partition("--rate")[0] for scope in SCOPES)


def test_the_doctor_tells_how_long_ago_it_was_retrained(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        service.rate(service.ask()["id"])
    assert turnpike(tmp_path, "retrain").exit_code == 0
    assert findings(tmp_path)["retrain"].startswith("ok: just now: ")


def test_a_key_that_is_made_with_another_secret_than_the_others_is_told_of(tmp_path: Path) -> None:
    service = {"TURNPIKE_SECRET": "s" * 32}
    assert turnpike(tmp_path, "keys", "create", "shop", **service).stderr == ""
    ended = turnpike(tmp_path, "keys", "create", "site", "--json")
    assert as_json(ended)["name"] == "site"
    assert "this key was made with another secret than shop: " in ended.stderr
    assert turnpike(tmp_path, "keys", "revoke", "site").exit_code == 0
    assert turnpike(tmp_path, "keys", "create", "site", **service).stderr == ""


def test_a_log_that_was_restored_without_its_secret_is_told_of(
    tmp_path: Path, provider: Provider
) -> None:
    made(tmp_path, "shop")
    assert "open nothing" not in turnpike(tmp_path, "doctor").output
    secret = (tmp_path / "secret").read_bytes()
    (tmp_path / "secret").unlink()
    for _ in range(2):  # before a start has made another secret, and after it
        found = turnpike(tmp_path, "doctor")
        assert found.exit_code == 1
        assert "shop open nothing: they were made with another secret" in found.output
        with capture_logs() as lines, running(tmp_path, sandbox_url=provider.url):
            pass
        [told] = [each for each in lines if each["event"] == "these keys open nothing"]
        assert told["keys"] == "shop"
    (tmp_path / "secret").write_bytes(secret)
    assert "open nothing" not in turnpike(tmp_path, "doctor").output
