"""What the doctor says of providers and of a service, each asked over a real socket."""

import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.monitoring.doctor import Finding, doctor, examine
from app.settings import Settings
from storage.sqlite_log import SqliteLog
from tests.app.faulty import faulty, good
from tests.app.running import catalogue
from tests.app.serving import served
from tests.storage.rounds import RETRAIN, but
from tests.upstream.test_reach import plain, saying

ROOT = Path(__file__).parents[3]


def found(folder: Path, url: str, about: str, **dials: str) -> Finding:
    arms = catalogue(folder, url, {"a": {}})
    given = {"sandbox": "off", "data": folder, "database": folder / "turnpike.db", **dials}
    findings = examine(Settings(arms=arms, **given))
    return next(each for each in findings if each.about == about)


@pytest.mark.parametrize(
    ("answer", "level", "asleep"),
    [
        (plain("200 OK"), "ok", "ok"),
        (plain("500 Oops"), "problem", "note"),
        (plain("503 Away"), "problem", "note"),
        (plain("301 Moved", "Location: https://elsewhere.invalid/v1"), "problem", "note"),
        (b"SSH-2.0-OpenSSH_9\r\n", "problem", "note"),
        (b"", "problem", "note"),
        (plain("404 No such path"), "note", "note"),
        (plain("401 Who are you"), "problem", "note"),
    ],
    ids=["well", "500", "503", "redirect", "no HTTP", "nothing", "no list of models", "no key"],
)
def test_a_provider_that_fails_is_a_problem_where_it_is_asked_and_else_a_note(
    tmp_path: Path, answer: bytes, level: str, asleep: str
) -> None:
    with saying(answer) as (provider, _):
        finding = found(tmp_path, provider.base_url, "provider")
        beside_the_sandbox = found(tmp_path, provider.base_url, "provider", sandbox="on")
    assert (finding.level, beside_the_sandbox.level) == (level, asleep)
    assert finding.says.startswith(f"p at {provider.base_url} ")
    assert (
        "check base_url" in finding.says or "as api_key_env" in finding.says or level != "problem"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_provider_that_is_away_or_speaks_no_tls_is_a_problem(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        away = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    with saying(plain("200 OK")) as (provider, _):
        url = away if scheme == "http" else provider.base_url.replace("http", scheme)
        finding = found(tmp_path, url, "provider")
    assert finding.level == "problem"
    assert "cannot be reached: [" in finding.says
    assert "<" not in finding.says


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with saying(plain("200 OK")) as (provider, _):
        good, bad = (
            dict.fromkeys((".", "new/one"), "ok"),
            dict.fromkeys(("file", "file/x"), "problem"),
        )
        for below, level in {**good, **bad}.items():
            folder = tmp_path / below
            dials = {"data": folder, "database": folder / "turnpike.db"}
            finding = found(tmp_path, provider.base_url, "folder", **dials)
            assert (finding.level, finding.says.startswith(f"{folder} can")) == (level, True)
            assert level == "ok" or f"written: {tmp_path / 'file'}: Not a dir" in finding.says
    assert sorted(each.name for each in tmp_path.iterdir()) == ["arms.toml", "file"]


UNSET = "SOME_KEY_THAT_IS_NOT_SET"


@pytest.mark.parametrize("mode", ["auto", "on", "off"])
@pytest.mark.parametrize("real", ["a service", "a log", ""])
def test_a_key_that_is_missing_where_providers_were_asked_is_a_problem(
    tmp_path: Path, real: str, mode: str
) -> None:
    (tmp_path / "real").mkdir()
    with faulty(tmp_path / "real", {"a": good}) as made:
        made.service.ask("hi")
    bodies = {"a service": b'{"sandbox": false}', "": b'{"sandbox": true} '}
    answer = plain("200 OK").replace(b"Length: 0", b"Length: 18") + bodies.get(real, b"x" * 18)
    arms = catalogue(tmp_path, "http://127.0.0.1:9/v1", {"a": {}}, {"api_key_env": UNSET})
    folder = tmp_path / ("real" if real == "a log" else "new")
    dials = {"sandbox": mode, "data": folder, "database": folder / "turnpike.db"}
    with saying(answer) as (service, _):
        bind = service.base_url.removeprefix("http://").removesuffix("/v1")
        findings = list(examine(Settings(arms=arms, bind=bind, **dials)))
    [finding] = [each for each in findings if each.about == "key"]
    is_grave = mode == "off" or (mode == "auto" and real)
    assert finding.level == ("problem" if is_grave else "note")
    why = {"a service": f"service at {bind} asks providers", "a log": "log has 1 decision:"}
    if mode == "auto" and real:
        assert why[real] in finding.says
        assert "a start without it puts the sandbox in the place" in finding.says


def test_a_wrong_catalogue_hides_nothing_of_what_needs_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real").mkdir()
    with faulty(tmp_path / "real", {"a": good}) as made:
        made.service.ask("hi")
    arms = tmp_path / "arms.toml"
    arms.write_text('[provider.p]\nurl = "x"\n', encoding="utf-8")
    told = {}
    capsys.readouterr()  # what the service said of itself
    for name in ("real", "new"):
        folder = tmp_path / name
        dials = {"arms": arms, "data": folder, "database": folder / "turnpike.db"}
        assert doctor(Settings(bind="127.0.0.1:9", **dials), as_json=False) == 1
        told[name] = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in told["real"] if line[:8].strip()] == [
        "catalogue", "service", "folder", "folder", "sqlite", "log", "feedback", "retrain",
        "access",
    ]  # fmt: skip
    assert "1 decisions" in next(line for line in told["real"] if " log " in line)
    assert [len(line) - len(line.lstrip()) for line in told["real"][:3]] == [0, 20, 20]
    never = next(line for line in told["new"] if " log " in line)
    assert str(tmp_path / "new/sandbox/turnpike.db") in never


def test_whatever_has_the_port_of_the_service_the_doctor_says_whether_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    ours = plain("200 OK").replace(b"Length: 0", b"Length: 16") + b'{"status": "ok"}'
    found_there = []
    for answer in (ours, plain("200 OK"), plain("404 No such path"), b"SSH-2.0-OpenSSH_9\r\n"):
        with saying(answer) as (other, _):
            bind = other.base_url.removeprefix("http://").removesuffix("/v1")
            found_there.append(found(tmp_path, other.base_url, "service", bind=bind))
    found_there.append(found(tmp_path, other.base_url, "service", bind="127.0.0.1:9"))
    levels = [finding.level for finding in found_there]
    assert levels == ["ok", "problem", "problem", "problem", "note"]
    assert all("something else answers" in finding.says for finding in found_there[1:4])
    assert "start it with" in found_there[4].says


def test_a_service_that_wants_no_traffic_is_a_problem_with_its_reason(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}) as made, served(made.service) as url:
        bind, settings = url.removeprefix("http://"), made.service.parts.settings
        dials = {"bind": bind, "database": settings.database, "sandbox": "on"}
        assert found(tmp_path, url, "service", **dials).level == "ok"
        made.service.parts.drain.begin(60)
        finding = found(tmp_path, url, "service", **dials)
    assert finding.level == "problem"
    assert finding.says.endswith("and is not ready: the service is being stopped")


@pytest.mark.parametrize("garbage", [b"\xff", b"\0"], ids=["ends the check", "is found"])
def test_a_log_of_which_a_page_is_damaged_is_a_problem(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "turnpike.db"
    SqliteLog(path).close()
    with saying(plain("200 OK")) as (provider, _):
        assert found(tmp_path, provider.base_url, "log").level == "ok"
        with closing(sqlite3.connect(path)) as db:
            [(page,)] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'transcripts'")
            [(size,)] = db.execute("PRAGMA page_size")
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(garbage * size)
        finding = found(tmp_path, provider.base_url, "log")
    assert finding.level == "problem"
    assert f"{path} is damaged: " in finding.says
    assert "restore the newest backup" in finding.says


def test_a_retrain_that_is_dated_ahead_was_not_just_now(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        at_s = time.time() + 7_205.0
        log.record_retrain(but(RETRAIN, started_at_s=at_s, ended_at_s=at_s)).wait()
    finding = found(tmp_path, "http://127.0.0.1:9/v1", "retrain")
    assert finding.level == "note"
    assert "dated 2.0 h ahead of now" in finding.says


@pytest.mark.parametrize(("closed", "about"), [("", "log"), ("turnpike.db-spool", "spool")])
def test_what_is_another_users_is_told_and_nothing_breaks_off(
    tmp_path: Path, closed: str, about: str
) -> None:
    beside = tmp_path / "log"
    beside.mkdir()
    SqliteLog(beside / "turnpike.db").close()
    (beside / "turnpike.db-spool").touch()
    (beside / closed).chmod(0)
    tmp_path.chmod(0o755)
    # Root may look anywhere, so a child that is root becomes somebody else after its imports.
    code = f"""
import os
from pathlib import Path
from app.keys.keyring import known
from app.monitoring.doctor import _beside_the_catalogue
from app.settings import Settings
from policy.errors import ConfigError
os.chdir({str(tmp_path)!r})
settings = Settings(database=Path("log/turnpike.db"))
if os.getuid() == 0:
    list(_beside_the_catalogue(settings, every_page=True))  # it imports some more
    os.setuid(65534)
for each in _beside_the_catalogue(settings, every_page=True):
    print(each.level, each.about, each.says)
try:
    known(settings)
except ConfigError as error:
    print("keys", error.message)
"""
    child = [sys.executable, "-c", code]
    ended = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, check=False)
    told = ended.stdout
    assert f"problem {about} " in told, ended.stderr
    assert "do this as the user whose it is" in told
    assert "keys log/turnpike.db cannot be looked at: " in told or closed
    (beside / closed).chmod(0o700)
