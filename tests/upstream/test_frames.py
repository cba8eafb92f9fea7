"""However the bytes of a stream are cut into pieces, its frames are the same."""

import itertools
import json
import time

from hypothesis import given
from hypothesis import strategies as st

from upstream.frames import frames

TEXTS = st.lists(st.text(), min_size=1, max_size=6)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(TEXTS, st.sampled_from(["\n", "\r\n"]), st.lists(st.integers(0, 5000)), st.booleans())
def test_any_split_gives_the_same_text(texts, line_end, places, with_comments) -> None:
    comment = f": ping{line_end}{line_end}" if with_comments else ""
    events = [
        f"data: {json.dumps(text, ensure_ascii=False)}{line_end}{line_end}{comment}"
        for text in texts
    ]
    data = "".join(events).encode(errors="surrogatepass")
    received = [json.loads(frame.decode()) for frame in frames(cut(data, places))]
    assert received == texts


def test_every_single_split_of_one_stream_gives_the_same_frames() -> None:
    data = 'data: {"a": "ü€𝄞"}\r\n\r\n: x\n\ndata:[1]\n\ndata: [DONE]'.encode()
    whole = ['{"a": "ü€𝄞"}'.encode(), b"[1]", b"[DONE]"]
    for place in range(len(data) + 1):
        assert list(frames([data[:place], data[place:]])) == whole
    assert list(frames(data[i : i + 1] for i in range(len(data)))) == whole


def test_a_mark_of_byte_order_comes_first_once_and_is_no_part_of_the_first_line() -> None:
    mark = "\ufeff".encode()
    for data in (b'data: {"a": 1}\n\ndata: [DONE]\n\n', b"data: [1]", b": hi\n\ndata: 1\n\n"):
        whole = list(frames([data]))
        for place in range(len(mark + data) + 1):
            assert list(frames([(mark + data)[:place], (mark + data)[place:]])) == whole
        assert list(frames([mark + mark + data])) == whole[1:] or data.startswith(b":")
    assert list(frames([b"data: 1\n\n" + mark + b"data: 2\n\n"])) == [b"1"]


def test_data_of_several_lines_is_one_frame() -> None:
    assert list(frames([b'data: {"a":\ndata: 1}\n\n'])) == [b'{"a":\n1}']


def test_events_without_data_are_none() -> None:
    assert list(frames([b"event: ping\nid: 3\n\n\n\n: c\n\n"])) == []
    assert list(frames([b"data: \n\ndata\n\ndata:\r\n\r\ndata:\ndata:  \n\ndata: 1\n\ndata:"])) == [
        b"1"
    ]


def test_a_long_line_in_small_pieces_takes_time_in_proportion() -> None:
    pieces = [b"data: ", *[b"x" * 1000] * 5000, b"\n\n"]
    began = time.process_time()
    assert [len(frame) for frame in frames(pieces)] == [5_000_000]
    assert time.process_time() - began < 5
