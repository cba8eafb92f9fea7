"""The gateways that are measured: how each is installed, configured, started and asked.

Other people's gateways never touch our environment: they are installed from the locks in
`bench/peers/` into `build/peers/`, once.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import Target
from bench.peers.environment import python
from storage.postgres_server import free_port

ROOT = Path(__file__).parents[1]
LOCKS, INSTALLED = ROOT / "bench" / "peers", ROOT / "build" / "peers"
CHAT = "/v1/chat/completions"
READY_WITHIN_S = 120.0
ENDED_WITHIN_S = 40.0
ARMS = ("a", "b", "c", "d", "e")

NGINX = """daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 512; }}
  server {{ listen 127.0.0.1:{port} backlog=2048;
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; }} }} }}
"""
LITELLM = """model_list:
  - model_name: auto
    litellm_params: {{model: openai/static, api_base: "http://127.0.0.1:{upstream}/v1", api_key: x}}
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """How one gateway is started before a provider, and what each request to it must carry."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    head: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that answers; ours has a log."""

    name: str
    pid: int
    target: Target
    database: Path | None = None


def turnpike(folder: Path, port: int, upstream: int) -> Gateway:
    """Return our own service with all its processes, five arms and everything on."""
    tables = [f'[provider.p]\nbase_url = "http://127.0.0.1:{upstream}/v1"']
    tables += [
        f'[arm.{name}]\nprovider = "p"\nmodel = "m-{name}"\ncontext_window = 128000\n'
        f"input_usd_per_mtok = {0.1 * n}\noutput_usd_per_mtok = {0.4 * n}"
        for n, name in enumerate(ARMS, start=1)
    ]
    (folder / "arms.toml").write_text("\n".join(tables), encoding="utf-8")
    settings = {
        "TURNPIKE_ARMS": str(folder / "arms.toml"),
        "TURNPIKE_DATABASE": str(folder / "turnpike.db"),
        "TURNPIKE_BIND": f"127.0.0.1:{port}",
        "TURNPIKE_SANDBOX": "off",
    }
    return Gateway("Turnpike", (sys.executable, "-m", "app", "serve"), settings)


def nginx(folder: Path, port: int, upstream: int) -> Gateway | None:
    """Return nginx as a plain proxy, the floor of all gateways; None where it is not installed."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        return None
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, upstream=upstream), encoding="utf-8")
    return Gateway("nginx", (found, "-c", str(config), "-e", str(folder / "error.log")))


def portkey(_folder: Path, port: int, upstream: int) -> Gateway | None:
    """Return Portkey's gateway; None where there is no Node to run it.

    Its lock holds @hono/node-server back: with the newest that it allows it streams nothing.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    home = INSTALLED / "portkey"
    server = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not server.exists():
        shutil.copytree(LOCKS / "portkey", home, dirs_exist_ok=True)
        subprocess.run([npm, "ci", "--silent", "--no-audit"], cwd=home, check=True)  # noqa: S603
    head = (
        "x-portkey-provider: openai\r\nAuthorization: Bearer x\r\n"
        f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1\r\n"
    )
    return Gateway("Portkey", (node, str(server), f"--port={port}", "--headless"), {}, head)


def litellm(folder: Path, port: int, upstream: int) -> Gateway:
    """Return LiteLLM's proxy with one worker."""
    programs = python("litellm").parent
    config = folder / "litellm.yaml"
    config.write_text(LITELLM.format(upstream=upstream), encoding="utf-8")
    command = (str(programs / "litellm"), "--config", str(config))
    options = ("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    key = f"sk-{secrets.token_hex(32)}"  # it does not start without one
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    environ["PATH"] = f"{programs}:{os.environ.get('PATH', '')}"
    head = f"Authorization: Bearer {key}\r\n"
    return Gateway("LiteLLM", (*command, *options), environ, head)


KNOWN = {"turnpike": turnpike, "nginx": nginx, "portkey": portkey, "litellm": litellm}


@contextmanager
def started(names: Sequence[str], folder: Path, upstream: int) -> Iterator[list[Running]]:
    """Yield the gateways of these names that can be run here, each answering; then end them.

    raises : TimeoutError if one does not answer in time
    """
    with ExitStack() as until:
        running = []
        for name in names:
            own, port = folder / name, free_port()
            own.mkdir()
            gateway = KNOWN[name](own, port, upstream)
            if gateway is not None:
                running.append(until.enter_context(start(gateway, own, port)))
        yield running


@contextmanager
def start(gateway: Gateway, folder: Path, port: int) -> Iterator[Running]:
    """Yield a gateway that answers, then end it.

    raises : TimeoutError if it does not answer in time
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TURNPIKE_")}
    with (folder / "lines.txt").open("wb") as lines:
        process = subprocess.Popen(  # noqa: S603
            gateway.command, env={**ours, **gateway.environ}, cwd=ROOT, stdout=lines, stderr=lines
        )
    target, database = Target(port, CHAT, gateway.head), gateway.environ.get("TURNPIKE_DATABASE")
    try:
        wait_until_answered(target, process)
        yield Running(gateway.name, process.pid, target, Path(database) if database else None)
    except TimeoutError as error:
        said = (folder / "lines.txt").read_text(errors="replace")[-500:]
        raise TimeoutError(f"{gateway.name} does not answer: {said}") from error
    finally:
        process.terminate()
        process.wait(ENDED_WITHIN_S)


def wait_until_answered(target: Target, process: subprocess.Popen[bytes]) -> None:
    """Return once a request is answered.

    raises : TimeoutError if the process ends before that, or it takes too long
    """
    give_up_at = time.monotonic() + READY_WITHIN_S
    while not _answers(target):
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise TimeoutError(f"nobody answers on port {target.port}")
        time.sleep(0.2)


def _answers(target: Target) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", target.port), timeout=5) as connection:
            connection.sendall(target.request(body()))
            return b" 200 " in connection.recv(1024).partition(b"\r\n")[0]
    except OSError:
        return False


def body(**more: object) -> bytes:
    """Return a request as a support desk would send it, with the parameters given."""
    tokens = more.pop("tokens", 0)
    said = (
        "My invoice 20417 shows two charges for the March plan although I cancelled on the 3rd. "
        f"Please refund the second charge. stream {tokens} tokens"
    )
    system = {"role": "system", "content": "You are a support assistant. Answer briefly."}
    messages = [system, {"role": "user", "content": said}]
    return json.dumps({"model": "auto", "messages": messages, **more}).encode()
