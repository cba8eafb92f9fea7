"""Server-sent events: bytes as they come in, in any pieces, to the data of each event.

Comments, names, ids and retry hints are dropped: they carry nothing for us, and a comment must not
pass for content.
"""

from collections.abc import Iterable, Iterator


def frames(received: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield the data of each event; lines may end in LF or CRLF, the last one in nothing.

    source : the HTML standard, 9.2.6, less the lone CR that no provider uses

    >>> list(frames([b": hi\n\ndata: {\"a\"", b": 1}\r\n\r\ndata: [DONE]"]))
    [b'{"a": 1}', b'[DONE]']
    """
    data: list[bytes] = []
    for line in _lines(received):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def _lines(received: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for piece in received:
        pending += piece
        if b"\n" in piece:
            *whole, rest = pending.split(b"\n")
            pending = rest
            for line in whole:
                yield bytes(line).removesuffix(b"\r")
    if pending:
        yield bytes(pending).removesuffix(b"\r")
