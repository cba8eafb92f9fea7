"""One call for the same request: who asks, who waits, and that nobody waits for ever."""

import threading

from app.answers.flights import Flights
from tests.app.running import eventually


def test_the_first_asks_and_another_request_does_not_wait_for_it() -> None:
    flights = Flights()
    assert flights.join(b"a") is not None
    assert flights.join(b"b") is not None


def test_the_others_go_on_when_it_lands() -> None:
    flights, told = Flights(), []
    flight = flights.join(b"a")
    assert flight is not None
    threads = [threading.Thread(target=lambda: told.append(flights.join(b"a"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert told == []
    flights.land(b"a", flight)
    assert eventually(lambda: told == [None] * 5)
    assert flights.join(b"a") is not None


def test_who_has_waited_long_enough_is_the_first_of_a_new_flight() -> None:
    flights = Flights(wait_s=0.01)
    lost = flights.join(b"a")
    taken_over = flights.join(b"a")
    assert lost is not None
    assert taken_over is not None
    flights.land(b"a", lost)
    assert not taken_over.is_set()
    assert flights._under_way == {b"a": taken_over}
