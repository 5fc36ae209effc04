"""Frames: whatever is cut wherever comes out whole; whatever is no frame is refused."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.workers.frames import MAX_FRAME_BYTES, BlockingChannel, Breach, Closed, Frame, Unpacker, pack

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_frames = st.builds(Frame, st.integers(), st.integers(), st.dictionaries(st.text(), _values, max_size=4), st.booleans())


@given(st.lists(_frames, max_size=5), st.data())
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(pack, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    unpacker = Unpacker()
    out = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        out += unpacker.feed(stream[start:end])
    assert out == frames
    assert unpacker.empty


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_breach_and_nothing_else(data: bytes) -> None:
    try:
        frames = Unpacker().feed(data)
    except Breach:
        return
    assert all(isinstance(frame, Frame) for frame in frames)


@given(_values)
def test_any_other_json_is_a_breach(value: Any) -> None:
    text = json.dumps(value).encode()
    with pytest.raises(Breach):
        Unpacker().feed(len(text).to_bytes(4, "big") + text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"job":true,"epoch":1,"last":false,"body":{}}',
        b'{"job":1,"epoch":1.0,"last":false,"body":{}}',
        b'{"job":1,"epoch":1,"last":0,"body":{}}',
        b'{"job":1,"epoch":1,"last":false,"body":[]}',
        b'{"job":1,"epoch":1,"last":false,"body":{},"more":1}',
        b'{"job":1,"epoch":1,"last":false,"body":{"x":NaN}}',
        b'{"job":1,"epoch":1,"last":false,"body":{"x":-Infinity}}',
        b'{"job":' + b"9" * 5000 + b',"epoch":1,"last":false,"body":{}}',
        b'{"a":' * 200_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_what_only_resembles_a_frame_is_a_breach(text: bytes) -> None:
    with pytest.raises(Breach):
        Unpacker().feed(len(text).to_bytes(4, "big") + text)


def test_size_is_bounded_both_ways() -> None:
    with pytest.raises(Breach):
        Unpacker().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(Breach):
        pack(Frame(1, 1, {"x": "a" * MAX_FRAME_BYTES}))


def test_a_blocking_channel_carries_frames_and_tells_the_end() -> None:
    left, right = socket.socketpair()
    here, there = BlockingChannel(left), BlockingChannel(right)
    for number in range(3):
        here.send(Frame(number, 1, {"large": "x" * 1000}))
    assert [there.receive().job_id for _ in range(3)] == [0, 1, 2]
    left.close()
    with pytest.raises(Closed):
        there.receive()
    with pytest.raises(Closed):
        there.send(Frame(1, 1, {}))
    right.close()
