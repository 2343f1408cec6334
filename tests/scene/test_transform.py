"""Matrices between motion steps, against rotations worked out by hand; values of a scene at any time."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from arras_ray.scene import SceneContext, SceneObject
from arras_ray.scene.transform import blend

AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (-1, 2, 0.5), (0.3, -0.1, -4)]


def rotation(degrees: float, axis: tuple[float, float, float]) -> np.ndarray:
    """Counter-clockwise about an axis, for row vectors (Rodrigues)."""
    x, y, z = np.array(axis, "f8") / np.linalg.norm(axis)
    cross = np.array([[0, z, -y], [-z, 0, x], [y, -x, 0]])
    angle = math.radians(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return matrix


def scaling(x: float, y: float, z: float) -> np.ndarray:
    return np.diag([x, y, z, 1.0])


def moved(matrix: np.ndarray, x: float, y: float, z: float) -> np.ndarray:
    """The matrix with another translation."""
    result = matrix.copy()
    result[3, :3] = x, y, z
    return result


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-13) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_a_rotation_about_z_turns_x_to_y() -> None:
    close(rotation(90, (0, 0, 1))[0], np.array([0, 1, 0, 0]), 1e-15)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("degrees", [1e-3, 30.0, 90.0, 120.0, 179.0, -75.0])
@pytest.mark.parametrize("fraction", [0.0, 0.25, 1 / 3, 0.5, 0.9, 1.0])
def test_a_rotation_turns_evenly(axis: tuple[float, float, float], degrees: float, fraction: float) -> None:
    close(blend(np.eye(4), rotation(degrees, axis), fraction), rotation(degrees * fraction, axis))
    begin = rotation(50, (1, -2, 0.5))
    # row vectors: the begin first, then what leads on
    close(blend(begin, begin @ rotation(degrees, axis), fraction), begin @ rotation(degrees * fraction, axis))


def test_half_of_120_degrees_about_the_diagonal() -> None:
    """120 degrees about (1, 1, 1) send x to y; half of it sends x to (2, 2, -1) / 3."""
    end = np.eye(4)[[1, 2, 0, 3]]
    close(blend(np.eye(4), end, 0.5)[:3, :3], np.array([[2, 2, -1], [-1, 2, 2], [2, -1, 2]]) / 3, 1e-15)


def test_the_shorter_way_round() -> None:
    close(blend(np.eye(4), rotation(200, (0, 1, 0)), 0.5), rotation(-80, (0, 1, 0)))
    close(blend(rotation(170, (0, 0, 1)), rotation(-170, (0, 0, 1)), 0.5), rotation(180, (0, 0, 1)))


def test_half_a_turn_goes_one_of_the_two_ways() -> None:
    middle = blend(np.eye(4), rotation(180, (0, 0, 1)), 0.5)
    close(middle @ middle, rotation(180, (0, 0, 1)))


@pytest.mark.parametrize("fraction", [-2.5, -1.0, -0.25, 1.25, 2.0, 3.75, 10.0])
@pytest.mark.parametrize("axis", AXES)
def test_beyond_the_motion_steps_it_goes_on(axis: tuple[float, float, float], fraction: float) -> None:
    begin, end = moved(rotation(10, axis), 1, 2, 3), moved(rotation(80, axis), 2, 2, 1)
    expected = moved(rotation(10 + 70 * fraction, axis), 1 + fraction, 2, 3 - 2 * fraction)
    close(blend(begin, end, fraction), expected, 1e-12)


@pytest.mark.parametrize("fraction", [-0.5, 0.0, 0.3, 1.0, 1.5])
def test_scale_rotation_and_translation_each_go_their_way(fraction: float) -> None:
    axis = (0.2, 1, -1)
    begin = moved(scaling(1, 2, 3) @ rotation(20, axis), 5, 0, 0)
    end = moved(scaling(3, 2, 9) @ rotation(140, axis), 5, -4, 8)
    scale = scaling(1 + 2 * fraction, 2, 3 + 6 * fraction)
    expected = moved(scale @ rotation(20 + 120 * fraction, axis), 5, -4 * fraction, 8 * fraction)
    close(blend(begin, end, fraction), expected, 1e-12)


def test_shear_is_stretch_along_other_axes() -> None:
    """A shear without rotation, that is a symmetric matrix, is blended in a line; with one it turns beside that."""
    shear = np.eye(4)
    shear[0, 1] = shear[1, 0] = 0.5
    close(blend(np.eye(4), shear, 0.5), (np.eye(4) + shear) / 2)
    turn = rotation(90, (0, 0, 1))
    close(blend(shear, shear @ turn, 0.5), shear @ rotation(45, (0, 0, 1)))
    # a shear of one side only: S = sqrt(M M^T), R = S^-1 M, turned back by atan(k / 2)
    one_sided = np.eye(4)
    one_sided[1, 0] = 1.0
    angle = math.degrees(math.atan(0.5))
    stretch = one_sided @ rotation(angle, (0, 0, 1))
    close(stretch, stretch.T)
    half = (np.eye(4) + stretch) / 2 @ rotation(-angle / 2, (0, 0, 1))
    close(blend(np.eye(4), one_sided, 0.5), half)


def test_two_mirrored_matrices_turn_like_others() -> None:
    mirror = scaling(-1, 1, 1)
    turned = blend(mirror @ rotation(10, (0, 1, 0)), mirror @ rotation(90, (0, 1, 0)), 0.5)
    close(turned, mirror @ rotation(50, (0, 1, 0)))


PROJECTION = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 0]])


@pytest.mark.parametrize(
    "odd",
    [scaling(-1, 1, 1), scaling(0, 1, 1), scaling(0, 0, 0), np.zeros((4, 4)), PROJECTION, 2 * np.eye(4)],
    ids=["mirrored", "flat", "a point", "nothing", "projection", "homogeneous"],
)
@pytest.mark.parametrize("fraction", [-1.0, 0.25, 2.0])
def test_what_is_no_rotation_goes_straight(odd: np.ndarray, fraction: float) -> None:
    other = moved(rotation(90, (0, 0, 1)), 1, 2, 3)
    for begin, end in ((odd, other), (other, odd)):
        np.testing.assert_array_equal(blend(begin, end, fraction), begin + (end - begin) * fraction)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_stays_so(value: float) -> None:
    end = np.eye(4)
    end[0, 0] = value
    assert not np.isfinite(blend(np.eye(4), end, 0.5)[0, 0])


@pytest.mark.parametrize("size", [1e-120, 1e-30, 1e-3, 1e3, 1e30, 1e120])
def test_any_size(size: float) -> None:
    begin, end = scaling(size, 2 * size, size), scaling(size, 2 * size, size) @ rotation(90, (1, 0, 0))
    close(blend(begin, end, 0.5)[:3] / size, (scaling(1, 2, 1) @ rotation(45, (1, 0, 0)))[:3] / [1, 1, 1, size])


def test_a_long_thin_thing_turns_too() -> None:
    begin, turn = scaling(1e3, 1, 1e-3), rotation(60, (0, 1, 0))
    got = blend(begin, begin @ turn, 0.5)
    sizes = np.array([[1e3], [1], [1e-3], [1]])
    close(got / sizes, (begin @ rotation(30, (0, 1, 0))) / sizes, 1e-9)


def test_the_bits_depend_on_nothing_else() -> None:
    """The ends are not changed, memory order and what was blended before do not count."""
    begin, end = moved(rotation(33, AXES[4]), 1, 2, 3), scaling(1, 2, 3) @ rotation(-71, AXES[5])
    fractions = [0.1, 0.7, 1.3, -0.2]
    kept = begin.copy(), end.copy()
    forward = {fraction: blend(begin, end, fraction).tobytes() for fraction in fractions}
    for order in itertools.permutations(fractions):
        assert [blend(begin, end, fraction).tobytes() for fraction in order] == [forward[each] for each in order]
    fortran = np.asfortranarray(begin), np.asfortranarray(end)
    assert blend(*fortran, 0.7).tobytes() == forward[0.7]
    read_only = begin.copy()
    read_only.setflags(write=False)
    assert blend(read_only, end, 0.7).tobytes() == forward[0.7]
    assert (begin.tobytes(), end.tobytes()) == (kept[0].tobytes(), kept[1].tobytes())


def test_known_bits() -> None:
    """Only correctly rounded operations are used, so that every processor has these very bits."""
    half = blend(np.eye(4), np.eye(4)[[1, 2, 0, 3]], 0.5)
    bits = ["0x1.5555555555554p-1", "0x1.5555555555557p-1", "-0x1.5555555555556p-2"]
    assert [value.hex() for value in half[0, :3].tolist()] == bits


# --- values of objects at a time


def camera(steps: list[float], name: str, begin: Any, end: Any) -> SceneObject:
    context = SceneContext()
    context.variables.set("motion_steps", steps)
    made = context.create("PerspectiveCamera", "c")
    made.set_blur(name, begin, end)
    return made


@pytest.mark.parametrize(
    ("steps", "at_0"), [([-1, 0], 1.0), ([0, 1], 0.0), ([-0.5, 0.5], 0.5), ([2, 6], -0.5), ([1, -1], 0.5)]
)
def test_get_is_the_value_at_the_frame(steps: list[float], at_0: float) -> None:
    made = camera(steps, "focal", 10.0, 20.0)
    assert made.get("focal") == pytest.approx(10 + 10 * at_0)
    assert made.get("focal") == made.get_at("focal", 0.0)
    turned = camera(steps, "node_xform", np.eye(4), rotation(40, (0, 0, 1)))
    close(turned.get("node_xform"), rotation(40 * at_0, (0, 0, 1)))
    close(turned.get_at("node_xform", 0.0), turned.get("node_xform"), 0)


@pytest.mark.parametrize("time", [-3.0, -1.0, -0.25, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("steps", [[-1, 0], [0, 1], [-0.5, 0.5], [2, 6], [1, -1]])
def test_get_at_any_time(steps: list[float], time: float) -> None:
    fraction = (time - steps[0]) / (steps[1] - steps[0])
    assert camera(steps, "focal", 10.0, 20.0).get_at("focal", time) == pytest.approx(10 + 10 * fraction)
    begin, end = np.eye(4), moved(scaling(2, 1, 1) @ rotation(30, (0, 1, 0)), 4, 0, 0)
    got = camera(steps, "node_xform", begin, end).get_at("node_xform", time)
    close(got, moved(scaling(1 + fraction, 1, 1) @ rotation(30 * fraction, (0, 1, 0)), 4 * fraction, 0, 0), 1e-12)
    assert not got.flags.writeable


@pytest.mark.parametrize("steps", [[], [0], [2, 2]])
def test_without_two_motion_steps_nothing_moves(steps: list[float]) -> None:
    made = camera(steps, "node_xform", np.eye(4), scaling(2, 2, 2))
    for time in (-1.0, 0.0, 5.0):
        np.testing.assert_array_equal(made.get_at("node_xform", time), np.eye(4))


def test_the_ends_are_the_very_matrices() -> None:
    begin, end = rotation(10, AXES[4]), rotation(80, AXES[5])
    made = camera([-1, 0], "node_xform", begin, end)
    np.testing.assert_array_equal(made.get_at("node_xform", -1.0), begin)
    np.testing.assert_array_equal(made.get("node_xform"), end)


def test_what_does_not_move_is_the_same_at_any_time() -> None:
    still = camera([-1, 0], "node_xform", rotation(10, AXES[4]), rotation(10, AXES[4]))
    np.testing.assert_array_equal(still.get_at("node_xform", 7.3), rotation(10, AXES[4]))
    assert still.get_at("near", 7.3) == still.get("near")
