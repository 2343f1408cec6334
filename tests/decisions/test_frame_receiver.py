import dataclasses

import numpy as np
import pytest
from grains import sums_of
from hypothesis import given
from hypothesis import strategies as st

from arras_ray.film import Film
from arras_ray.frame_receiver import FrameReceiver, to_8bit
from arras_ray.messages import TILE, ProgressiveFrame
from arras_ray.unit_plan import UnitPlan

WIDTH, HEIGHT = 150, 100
PLAN = UnitPlan(WIDTH, HEIGHT, 4)
UNITS = PLAN.units(np.arange(PLAN.n_units))
SUMS = sums_of(PLAN, UNITS)


def frame_of(tile: int, value: float, sync_id: int = 0, progress: float = 0.5) -> ProgressiveFrame:
    pixels = np.full((1, TILE * TILE, 4), value, "f4")
    return ProgressiveFrame(sync_id, WIDTH, HEIGHT, 1, np.array([tile], "i4"), pixels, progress, "RENDERING")


def test_frames_add_up_to_the_film() -> None:
    film, receiver = Film(WIDTH, HEIGHT), FrameReceiver(WIDTH, HEIGHT)
    for n in range(len(UNITS)):
        film.accept(UNITS[n : n + 1], SUMS[n : n + 1])
        if n % 3 == 0 or n == len(UNITS) - 1:
            assert receiver.receive(film.frame(receiver.version, 0, n / len(UNITS), "RENDERING"))
            assert receiver.rgba.tobytes() == film.image().tobytes()
    assert len(film.frame(receiver.version, 0, 1.0, "FINISHED").tiles) == 0


def test_status_and_progress_are_those_of_the_last_frame() -> None:
    receiver = FrameReceiver(WIDTH, HEIGHT)
    assert (receiver.status, receiver.progress, receiver.sync_id) == ("", 0.0, -1)
    receiver.receive(frame_of(0, 1.0, sync_id=4, progress=0.25))
    assert (receiver.status, receiver.progress, receiver.sync_id) == ("RENDERING", 0.25, 4)
    receiver.receive(dataclasses.replace(frame_of(0, 1.0, sync_id=4), status="FINISHED", progress=1.0))
    assert (receiver.status, receiver.progress) == ("FINISHED", 1.0)


def test_older_frames_are_dropped_and_newer_ones_clear() -> None:
    receiver = FrameReceiver(WIDTH, HEIGHT)
    beauty = receiver.beauty
    assert receiver.receive(frame_of(0, 1.0, sync_id=2))
    assert not receiver.receive(frame_of(1, 9.0, sync_id=1, progress=0.9))
    assert receiver.progress == 0.5
    assert receiver.rgba.max() == 1.0
    assert receiver.receive(frame_of(1, 2.0, sync_id=3))
    assert receiver.pixel(0, 0) == (0, 0, 0, 0)
    assert receiver.pixel(TILE, 0) == (2, 2, 2, 2)
    assert beauty.max() == 2.0  # the same array all the time


def test_arrays_of_each_aov() -> None:
    receiver = FrameReceiver(WIDTH, HEIGHT)
    frame = frame_of(0, 0.0)
    frame.pixels[0, TILE + 2] = [0.25, 0.5, 0.75, 1.0]
    receiver.receive(frame)
    assert receiver.pixel(2, 1) == (0.25, 0.5, 0.75, 1.0)
    assert receiver.beauty[1, 2].tolist() == [0.25, 0.5, 0.75]
    assert receiver.alpha[1, 2] == 1.0
    assert {name: aov.shape for name, aov in receiver.aovs.items()} == {
        "beauty": (HEIGHT, WIDTH, 3),
        "alpha": (HEIGHT, WIDTH),
    }
    assert receiver.rgb8()[1, 2].tolist() == [137, 188, 225]
    assert receiver.rgb8(1.0)[1, 2].tolist() == [64, 128, 191]
    assert receiver.rgb8(2.2)[1, 2].tolist() == [136, 186, 224]


def test_refuses_frames_of_another_size() -> None:
    receiver = FrameReceiver(WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="151 x 100 came for a picture of 150 x 100"):
        receiver.receive(dataclasses.replace(frame_of(0, 1.0), width=151))
    assert receiver.sync_id == -1


@pytest.mark.parametrize("xy", [(-1, 0), (0, -1), (WIDTH, 0), (0, HEIGHT)])
def test_no_pixel_outside_the_picture(xy: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match="outside"):
        FrameReceiver(WIDTH, HEIGHT).pixel(*xy)


def test_8_bits_at_the_ends_and_beyond() -> None:
    values = np.array([-np.inf, -1.0, 0.0, 1.0, 7.0, np.inf, np.nan], "f4")
    assert to_8bit(values).tolist() == [0, 0, 0, 255, 255, 255, 0]
    assert to_8bit(values, 2.2).tolist() == [0, 0, 0, 255, 255, 255, 0]


def test_the_srgb_curve_is_inverted_by_its_definition() -> None:
    code = np.arange(256) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    assert to_8bit(linear.astype("f4")).tolist() == list(range(256))


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.sampled_from(["srgb", 1.0, 2.2]))
def test_brighter_light_is_never_a_smaller_number(a: float, b: float, gamma: float) -> None:
    low, high = to_8bit(np.array([min(a, b), max(a, b)], "f4"), gamma)
    assert low <= high
