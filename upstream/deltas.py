"""What a streamed answer brings beside its text, put together from the deltas it comes in."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from upstream.answers import MEDIA, thoughts_of

IN_PIECES = frozenset({"arguments", "input", "refusal", "data", "transcript", "images"})
"""What comes in pieces; of everything else the first that is told counts."""


class Deltas:
    """The tool calls, refusal, media and thoughts of one choice, as far as they have come.

    A piece belongs to the call of its index and id; if there is none, to the last of its index;
    where the index is missing, to the last of all.
    Whoever gives every call the same index begins another one with another id and a name. Clients
    tell calls apart by their index alone, so each piece is given one that no other call has.

    >>> deltas = Deltas()
    >>> deltas.add({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]})
    >>> deltas.add({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
    >>> deltas.message
    {'tool_calls': [{'id': 'c', 'function': {'name': 'f', 'arguments': '{}'}}]}
    """

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._indexes: list[int] = []
        self._given: set[int] = set()
        self._next = 0
        self._last: dict[tuple[str, str], int] = {}  # by index and id, "" for whichever
        self._rest: dict[str, Any] = {}
        self._thoughts: dict[str, list[str]] = {}

    def add(self, delta: Mapping[str, Any]) -> None:
        """Take in what one delta brings; its calls must be a list of objects."""
        for piece in delta.get("tool_calls") or ():
            piece["index"] = self._indexes[self._add_call(piece)]
        for name in ("function_call", "refusal", *MEDIA):
            self._rest[name] = _joined(self._rest.get(name), delta.get(name), name)
        for name, said in thoughts_of(delta).items():
            self._thoughts.setdefault(name, []).append(said)

    @property
    def message(self) -> dict[str, Any]:
        """Return what has come, as a message says it."""
        calls = [
            {name: value for name, value in call.items() if name != "index"} for call in self._calls
        ]
        thoughts = {name: "".join(said) for name, said in self._thoughts.items()}
        told = {"tool_calls": calls, **self._rest, **thoughts}
        return {name: said for name, said in told.items() if said}

    def _add_call(self, piece: dict[str, Any]) -> int:
        """Return the place of the call that a piece is of."""
        index, identity = _key(piece.get("index")), _key(piece.get("id") or None)
        place = self._place_of(piece, index, identity)
        if place is None:
            place = len(self._calls)
            self._calls.append({**piece})
            self._indexes.append(self._free(piece.get("index")))
            self._last |= dict.fromkeys(product((index, ""), (identity, "")), place)
        else:
            self._calls[place] = _joined(self._calls[place], piece, "")
            self._last.setdefault((index, identity), place)
        return place

    def _place_of(self, piece: Mapping[str, Any], index: str, identity: str) -> int | None:
        """Return the place of the call that a piece goes on with; None if it begins another."""
        place = self._last.get((index, identity), self._last.get((index, "")))
        if place is None:
            return None
        function, known = piece.get("function"), _key(self._calls[place].get("id") or None)
        is_named = isinstance(function, Mapping) and function.get("name")
        return None if is_named and known and identity not in ("", known) else place

    def _free(self, said: object) -> int:
        """Return the index that a call says, or where it says none of its own, the next."""
        index = said if type(said) is int and said not in self._given else self._next
        self._given.add(index)
        self._next = max(self._next, index + 1)
        return index


def _key(said: object) -> str:
    """Return what calls are told apart by, nothing where nothing is said."""
    return "" if said is None else repr(said)


def _joined(before: Any, more: Any, name: str) -> Any:
    """Return a value with what has come of it since."""
    if isinstance(before, dict) and isinstance(more, dict):
        return before | {each: _joined(before.get(each), more[each], each) for each in more}
    if name in IN_PIECES and {type(before), type(more)} in ({str}, {list}):
        return before + more
    return before or more
