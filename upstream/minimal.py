"""A value that fits a JSON schema, made up by the sandbox: whatever may be left out is left out.

Of `pattern`, `not`, `if` and the like nothing is known: a value for these may not fit.
"""

from collections.abc import Mapping
from typing import Any

from policy.errors import InvalidInput

MOST_CHARS = 100_000
SMALLEST, LARGEST = 1e-100, 1e100
TEXT = "sandbox"
FORMATS = {
    "date-time": "2000-01-01T00:00:00Z",
    "date": "2000-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "sandbox@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def minimal(schema: Mapping[str, Any]) -> Any:
    """Return a value that fits the schema; what is no schema is taken for one that allows all.

    raises : InvalidInput when what must be there has no end, is not there, or is too much

    >>> schema = {"properties": {"a": {"minimum": 3, "type": "integer"}, "b": {"type": "string"}}}
    >>> minimal({"type": "object", **schema, "required": ["a"]})
    {'a': 3}
    """
    try:
        return _Walk(schema).value(schema, ())
    except RecursionError as error:
        raise InvalidInput("the schema is nested too deeply for the sandbox") from error


class _Walk:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MOST_CHARS

    def value(self, schema: object, within: tuple[str, ...]) -> Any:
        """Return a value for a part of the schema, which lies within these references."""
        self._spend(1)
        if not isinstance(schema, Mapping):
            return None
        if fixed := [schema["const"]] if "const" in schema else _list(schema, "enum"):
            self._spend(len(str(fixed[0])))
            return fixed[0]
        if isinstance(schema.get("$ref"), str):
            return self._referred(schema["$ref"], within)
        for name in ("anyOf", "oneOf", "allOf"):
            if branches := _list(schema, name):
                return self._first(branches, within)
        return self._typed(schema, within)

    def _typed(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else None)
        value: Any = None
        match kind[0] if isinstance(kind, list) and kind else kind:
            case "object":
                value = self._object(schema, within)
            case "array":
                value = self._array(schema, within)
            case "string":
                value = self._string(schema)
            case "integer" | "number" as number:
                value = _number(schema, whole=number == "integer")
            case "boolean":
                value = False
        return value

    def _object(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> dict[str, Any]:
        known, other = schema.get("properties"), schema.get("additionalProperties")
        parts = known if isinstance(known, Mapping) else {}
        names = [name for name in _list(schema, "required") if isinstance(name, str)]
        return {name: self.value(parts.get(name, other), within) for name in names}

    def _array(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> list[Any]:
        first = _list(schema, "prefixItems")
        return [
            self.value(first[place] if place < len(first) else schema.get("items"), within)
            for place in range(_least(schema, "minItems"))
        ]

    def _string(self, schema: Mapping[str, Any]) -> str:
        known = FORMATS.get(str(schema.get("format")))
        if known is not None:
            return known
        least = _least(schema, "minLength")
        self._spend(least)
        return TEXT.ljust(least, "x")[: max(least, _least(schema, "maxLength", len(TEXT)))]

    def _referred(self, where: str, within: tuple[str, ...]) -> Any:
        if where in within:
            raise InvalidInput(f"what {where[:100]!r} in the schema must hold has no end")
        found: Any = self._root
        for step in where.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is None or not where.startswith("#"):
            raise InvalidInput(f"the schema refers to {where[:100]!r}, which is not in it")
        return self.value(found, (*within, where))

    def _first(self, branches: list[Any], within: tuple[str, ...]) -> Any:
        """Return a value for the first branch that has an end."""
        for branch in branches[:-1]:
            try:
                return self.value(branch, within)
            except InvalidInput:
                continue
        return self.value(branches[-1], within)

    def _spend(self, chars: int) -> None:
        self._left -= chars
        if self._left < 0:
            raise InvalidInput(f"what the schema must hold is more than {MOST_CHARS} characters")


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    names = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
    low, above, high, below, step = (_bound(schema, name) for name in names)
    bounds = [each for each in (low, above, high, below) if each is not None]
    unit = step or 1
    grid = [unit * (each // unit + more) for each in bounds for more in range(-1, 3)]
    for value in (0, *grid, *([] if step else [*bounds, sum(bounds) / 2])):
        if (
            (not whole or value % 1 == 0)
            and (low is None or value >= low)
            and (above is None or value > above)
            and (high is None or value <= high)
            and (below is None or value < below)
        ):
            return int(value) if whole else value
    return 0


def _bound(schema: Mapping[str, Any], name: str) -> float | None:
    value = schema.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if value == 0 or SMALLEST < abs(value) < LARGEST else None


def _least(schema: Mapping[str, Any], name: str, otherwise: int = 0) -> int:
    value = schema.get(name)
    return value if type(value) is int and value >= 0 else otherwise


def _list(schema: Mapping[str, Any], name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []
