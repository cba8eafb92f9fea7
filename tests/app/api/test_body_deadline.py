"""A body that comes byte by byte is given up, and the connection with it."""

import subprocess
import sys

TRICKLED = """
from gevent import monkey
monkey.patch_all()
import itertools, socket, time
import gevent
from gunicorn.config import Config
from gunicorn.http import get_parser
from werkzeug.exceptions import RequestTimeout
from app.api import body
from app.processes import worker

body.READ_WITHIN_S, body.LEAST_BYTES_PER_S = 0.3, 100
service, client = socket.socketpair()

def trickle():
    client.sendall(b"POST / HTTP/1.1\\r\\nHost: here\\r\\nContent-Length: 100000\\r\\n\\r\\n")
    for _ in itertools.count():
        client.sendall(b" " * 20)
        time.sleep(0.01)

def parser_of(end):
    return get_parser(Config(), end, ("127.0.0.1", 1))

gevent.spawn(trickle)
parser = parser_of(service)
request = next(parser)
with body.reading(1_000):
    print(len(request.body.read(1_000)))
begun = time.monotonic()
try:
    with body.reading(10):
        request.body.read(100_000)
except RequestTimeout:
    print(0.4 <= time.monotonic() - begun < 5, next(parser, "closed"))

service, client = socket.socketpair()
gevent.spawn(trickle)
answered, begun = next(parser_of(service)), time.monotonic()
try:
    worker.Worker._read_on(None, answered, begun + 0.3)
except StopIteration:
    print(0.3 <= time.monotonic() - begun < 5)

service, client = socket.socketpair()
gevent.spawn(trickle)
late, worker.READ_ON_S, begun = next(parser_of(service)), 2.0, time.monotonic()
worker.GeventWorker.handle_request = lambda *_: time.sleep(2.0)
it = object.__new__(worker.Worker)
it.idle, it.under_way = set(), set()
try:
    it.handle_request(None, late, service, None)
except StopIteration:
    print(2.0 <= time.monotonic() - begun < 3.9)
"""


def test_a_body_has_so_long_to_come_longer_the_longer_it_is_and_once_it_is_answered() -> None:
    command = [sys.executable, "-c", TRICKLED]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "1000\nTrue closed\nTrue\nTrue\n"
