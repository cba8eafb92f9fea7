"""Server-sent events: bytes as they come in, in any pieces, to the data of each event.

Comments, names, ids, retry hints and events without data are dropped: they carry nothing for us,
and a comment must not pass for content.
"""

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain


def frames(received: Iterable[bytes]) -> Iterator[bytes]:
    r"""Return the data of each event; lines may end in LF or CRLF, the last one in nothing.

    One byte order mark may come first.

    source : the HTML standard, 9.2.6, less the lone CR that no provider uses, and less empty events

    >>> list(frames([b": hi\n\ndata: {\"a\"", b": 1}\r\n\r\ndata: [DONE]"]))
    [b'{"a": 1}', b'[DONE]']
    """
    return filter(bytes.strip, _events(received))


def _events(received: Iterable[bytes]) -> Iterator[bytes]:
    data: list[bytes] = []
    pending = bytearray()
    mark = codecs.BOM_UTF8
    for piece in chain(received, (b"\n\n",)):  # the last line and event may have no end
        pending += piece
        if b"\n" not in piece:
            continue
        *lines, pending = pending.removeprefix(mark).split(b"\n")
        mark = b""
        for line in map(bytes, lines):
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" ").removesuffix(b"\r"))
            elif line in (b"", b"\r"):
                yield b"\n".join(data)
                data = []
