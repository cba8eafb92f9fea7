"""The promise that a unit of work will be durable, kept by the writer of a log."""

from typing import Protocol, TypeVar

from storage.spool import Durable

T_co = TypeVar("T_co", covariant=True)

DURABLE_WITHIN_S = 20.0


class Ticket(Protocol[T_co]):
    """A promise that one unit of work will be durable; a refusal is told to whoever waits."""

    @property
    def durable(self) -> Durable:
        """Return where the unit is safe, once `wait` has returned."""
        ...

    def wait(self, timeout_s: float = DURABLE_WITHIN_S) -> T_co:
        """Return what the unit found, once it is durable.

        raises : StoreUnavailable if it is not durable in time; else whatever refused the unit
        """
        ...
