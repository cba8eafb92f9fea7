"""What a model of language makes of a text: one vector from a provider that takes embeddings."""

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy.errors import UpstreamInvalid
from policy.types import Timeouts
from upstream.answers import parsed
from upstream.passing import Passed

# Somebody waits for an answer meanwhile: without a vector there is one too.
AT_ONCE = Timeouts(connect_s=1.0, first_content_s=1.0, idle_s=1.0, total_s=2.0)
DIMENSIONS = 16_384

PassOn = Callable[[str, Mapping[str, Any], Timeouts], Passed]


class Embeddings:
    """The vectors of one model, asked of the provider that passes embeddings on."""

    def __init__(self, pass_on: PassOn, model: str, timeouts: Timeouts = AT_ONCE) -> None:
        self.model = model
        self._pass_on = pass_on
        self._timeouts = timeouts

    def vector(self, text: str) -> NDArray[np.float32]:
        """Return the direction of a text, of length one.

        shapes : (dimensions of the model,)
        raises : NotServed if no provider takes embeddings; UpstreamError
        """
        body = {"model": self.model, "input": text, "encoding_format": "float"}
        with closing(self._pass_on("embeddings", body, self._timeouts)) as passed:
            raw = b"".join(passed.received)
        try:
            return _direction(parsed(raw)["data"][0]["embedding"])
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise UpstreamInvalid(
                f"{self.model} sent no vector: {error}", arm=self.model
            ) from error


def _direction(numbers: Any) -> NDArray[np.float32]:
    vector = np.array(numbers, dtype=np.float64)
    if vector.ndim != 1 or not 0 < len(vector) <= DIMENSIONS:
        raise ValueError(f"numbers of shape {vector.shape} instead of one row")
    with np.errstate(over="ignore"):
        length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0.0:
        raise ValueError(f"a vector of length {length}")
    direction: NDArray[np.float32] = (vector / length).astype(np.float32)
    return direction
