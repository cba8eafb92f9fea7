"""What a streamed answer brings beside its text, put together from the deltas it comes in."""

from collections.abc import Mapping
from typing import Any

from upstream.answers import MEDIA, thoughts_of

IN_PIECES = frozenset({"arguments", "input", "refusal", "data", "transcript", "images"})
"""What comes in pieces; of everything else the first that is told counts."""


class Deltas:
    """The tool calls, refusal, media and thoughts of one choice, as far as they have come.

    A piece belongs to the last call of its index; where the index is missing, to the last of all.
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
        for place in range(len(self._calls) - 1, -1, -1):
            if _goes_on(self._calls[place], piece):
                self._calls[place] = _joined(self._calls[place], piece, "")
                return place
        said, free = piece.get("index"), max(self._indexes, default=-1) + 1
        self._indexes.append(free if type(said) is not int or said in self._indexes else said)
        self._calls.append({**piece})
        return len(self._calls) - 1


def _goes_on(call: Mapping[str, Any], piece: Mapping[str, Any]) -> bool:
    """Return whether a piece is of this call."""
    if piece.get("index") not in (None, call.get("index")):
        return False
    function = piece.get("function")
    is_named = isinstance(function, Mapping) and function.get("name")
    return not (is_named and call.get("id") and piece.get("id") not in (None, "", call["id"]))


def _joined(before: Any, more: Any, name: str) -> Any:
    """Return a value with what has come of it since."""
    if isinstance(before, dict) and isinstance(more, dict):
        return before | {each: _joined(before.get(each), more[each], each) for each in more}
    if name in IN_PIECES and {type(before), type(more)} in ({str}, {list}):
        return before + more
    return before or more
