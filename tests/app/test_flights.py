"""One call for the same request: who asks, who waits, and that nobody waits for ever."""

import threading

from app.flights import Flights
from tests.app.running import eventually


def test_the_first_asks_and_another_request_does_not_wait_for_it() -> None:
    flights = Flights()
    assert flights.join(b"a")
    assert flights.join(b"b")


def test_the_others_go_on_when_it_lands() -> None:
    flights, told = Flights(), []
    flights.join(b"a")
    threads = [threading.Thread(target=lambda: told.append(flights.join(b"a"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert told == []
    flights.land(b"a")
    assert eventually(lambda: told == [False] * 5)
    assert flights.join(b"a")


def test_nobody_waits_for_ever() -> None:
    flights = Flights(wait_s=0.01)
    flights.join(b"a")
    assert not flights.join(b"a")
