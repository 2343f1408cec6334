"""Variable-length integers: single ones, arrays of every mixture of lengths, bytes that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.scene.varints import MOST_BYTES, signed, signed_array, signed_blocks, unsigned

INT, LONG = np.dtype("<i4"), np.dtype("<i8")
BORDERS = sorted({sign * (1 << bits) + step for bits in range(64) for sign in (1, -1) for step in (-1, 0)})
"""Where one byte more is taken, and the numbers beside; all fit in 64 bits."""

SEVERAL_BLOCKS = 70_000


def coded(values: np.ndarray) -> bytes:
    return b"".join(signed_blocks(values))


def in_range(values: list[int], dtype: np.dtype[np.signedinteger]) -> list[int]:
    bounds = np.iinfo(dtype)
    return [value for value in values if bounds.min <= value <= bounds.max]


@pytest.mark.parametrize(("value", "data"), [(0, "00"), (127, "7f"), (128, "8001"), ((1 << 64) - 1, "ff" * 9 + "01")])
def test_unsigned_integers(value: int, data: str) -> None:
    assert unsigned(value).hex() == data


@pytest.mark.parametrize("dtype", [INT, LONG])
def test_arrays_are_coded_like_single_integers(dtype: np.dtype[np.signedinteger]) -> None:
    borders = in_range(BORDERS, dtype)
    # each alone, with short and long neighbours, and all in a row
    for values in (*([value] * 3 for value in borders), *([0, value, borders[0], value] for value in borders), borders):
        data = coded(np.array(values, dtype))
        assert data == b"".join(map(signed, values))
        back, used = signed_array(memoryview(data + b"\xff\0"), len(values), dtype)
        assert (back.tolist(), used, back.dtype) == (values, len(data), dtype)


@settings(deadline=None)
@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-70, 70)))
def test_any_integers(values: list[int]) -> None:
    data = coded(np.array(values, LONG))
    assert data == b"".join(map(signed, values))
    assert signed_array(memoryview(data), len(values), LONG)[0].tolist() == values


@pytest.mark.parametrize("bits", [1, 5, 12, 19, 26, 31])
def test_many_integers(bits: int) -> None:
    rng = np.random.default_rng(bits)
    uniform = rng.integers(1 << (bits - 1), 1 << bits, SEVERAL_BLOCKS).astype(INT)
    mixed = np.where(rng.random(SEVERAL_BLOCKS) < 0.01, 0, -uniform)
    turning = np.concatenate((uniform, np.zeros(SEVERAL_BLOCKS, INT), mixed))
    for values in (uniform, mixed, turning):
        data = coded(values)
        assert data[: len(signed(int(values[0])))] == signed(int(values[0]))
        back, used = signed_array(memoryview(data), len(values), INT)
        assert np.array_equal(back, values)
        assert used == len(data)


def test_integers_that_take_more_bytes_than_they_need() -> None:
    data = bytes.fromhex("8000" + "02" + "828080808000" + "ff" * 9 + "00")
    values, used = signed_array(memoryview(data), 4, LONG)
    assert values.tolist() == [0, 1, 1, -(1 << 62)]
    assert used == len(data)


def test_an_integer_that_does_not_fit_in_32_bits_makes_the_array_wide() -> None:
    values = [1, -(1 << 31), 1 << 31, 5]
    back, _ = signed_array(memoryview(b"".join(map(signed, values))), 4, INT)
    assert back.tolist() == values
    assert back.dtype == LONG


@pytest.mark.parametrize(
    ("data", "count", "problem"),
    [
        ("0202", 3, "3 integers expected, 2 found"),
        ("", 1, "1 integers expected, 0 found"),
        ("0280", 2, "an integer is cut"),
        ("8080", 1, "an integer is cut"),
        ("02" + "ff" * 9 + "02", 2, "longer than 64 bits"),
        ("ff" * 10 + "01", 1, "longer than 64 bits"),
        ("02" + "80" * 200, 2, "longer than 64 bits"),
    ],
)
def test_bytes_that_are_no_integers(data: str, count: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        signed_array(memoryview(bytes.fromhex(data)), count, LONG)


def test_a_cut_at_every_byte() -> None:
    values = np.array([0, 1 << 40, -1, 300, -(1 << 63)], LONG)
    data = coded(values)
    assert len(data) == 1 + 6 + 1 + 2 + MOST_BYTES
    for length in range(len(data)):
        with pytest.raises(ValueError, match="integer"):
            signed_array(memoryview(data)[:length], len(values), LONG)
