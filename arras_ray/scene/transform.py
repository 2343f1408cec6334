"""A matrix on its way from one motion step to the other: scale and translation go straight, rotation turns evenly.

Only + - * / and square roots are used: they have the same bits on every processor, which sine and cosine do not.
"""

from __future__ import annotations

from math import copysign, floor, sqrt

import numpy as np

Matrix3 = list[list[float]]
Quaternion = tuple[float, float, float, float]

_STEPS = 53
"""Halvings of the angle: as many as a fraction has bits."""

_CONVERGED = 1e-14
_SAME_ROTATION = 1e-12


def blend(begin: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    """The (4, 4) f8 matrix `fraction` of the way from begin to end, both for row vectors; below 0 or above 1 it goes on
    as it went.

    Each is taken as p * S * R + T, S symmetric and R a rotation (polar decomposition; Shoemake and Duff, Matrix
    Animation and Polar Decomposition, 1992). S and T are blended linearly, R by the shorter great arc. Matrices that
    are no such thing (a projection, one without volume, a mirrored one with one that is not) are blended linearly.
    """
    straight: np.ndarray = begin + (end - begin) * fraction
    first, second = _polar(begin), _polar(end)
    if first is None or second is None or first[2] != second[2]:
        return straight
    a, b = _quaternion(first[1]), _quaternion(second[1])
    if a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] < 0.0:
        b = (-b[0], -b[1], -b[2], -b[3])
    if max(abs(x - y) for x, y in zip(a, b, strict=True)) < _SAME_ROTATION:
        return straight
    stretch = [
        [x + (y - x) * fraction for x, y in zip(p, q, strict=True)] for p, q in zip(first[0], second[0], strict=True)
    ]
    whole = floor(fraction)
    turned = _product(_rotation(_slerp(a, b, fraction - whole)), _power(first[1], second[1], whole))
    straight[:3, :3] = _product(stretch, turned)
    return straight


def _polar(matrix: np.ndarray) -> tuple[Matrix3, Matrix3, float] | None:
    """Stretch, rotation, and the sign of the volume, which the stretch keeps; None where there are none."""
    if not np.isfinite(matrix).all() or matrix[:, 3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        return None
    linear: Matrix3 = matrix[:3, :3].tolist()
    sign = copysign(1.0, _determinant(linear))
    size = sqrt(_squares(linear))
    rotation = [[sign * x / size for x in row] for row in linear] if size > 0.0 else linear
    for _ in range(100):
        determinant = _determinant(rotation)
        if abs(determinant) < 1e-300:
            return None
        inverse = [[x / determinant for x in row] for row in _cofactors(rotation)]  # of the transposed
        # Frobenius scaling keeps the number of steps small for matrices that stretch much more one way than another
        scale = sqrt(sqrt(_squares(inverse) / _squares(rotation)))
        following = [
            [0.5 * (scale * x + y / scale) for x, y in zip(p, q, strict=True)]
            for p, q in zip(rotation, inverse, strict=True)
        ]
        change = max(abs(x - y) for p, q in zip(following, rotation, strict=True) for x, y in zip(p, q, strict=True))
        rotation = following
        if change < _CONVERGED:
            break
    return _product(linear, _transposed(rotation)), rotation, sign


def _slerp(a: Quaternion, b: Quaternion, fraction: float) -> Quaternion:
    """`fraction` of the arc from a to b, by halving it: the middle of two is their sum, made one long."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle, at = _unit((a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])), 0.5 * (low + high)
        if fraction >= at:
            a, low = middle, at
        else:
            b, high = middle, at
        if fraction == low:
            break
    return a


def _power(first: Matrix3, second: Matrix3, times: int) -> Matrix3:
    """The rotation that leads from first to second, so many times; backwards where that is negative."""
    step = _product(_transposed(first), second)
    if times < 0:
        step, times = _transposed(step), -times
    result: Matrix3 = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    while times:
        if times & 1:
            result = _product(result, step)
        step, times = _product(step, step), times >> 1
    return result


def _transposed(m: Matrix3) -> Matrix3:
    return [list(column) for column in zip(*m, strict=True)]


def _unit(q: Quaternion) -> Quaternion:
    length = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    return (q[0] / length, q[1] / length, q[2] / length, q[3] / length)


def _quaternion(m: Matrix3) -> Quaternion:
    """(w, x, y, z) of a rotation of row vectors, from its largest part for precision."""
    candidates = (
        (1.0 + m[0][0] + m[1][1] + m[2][2], m[1][2] - m[2][1], m[2][0] - m[0][2], m[0][1] - m[1][0]),
        (m[1][2] - m[2][1], 1.0 + m[0][0] - m[1][1] - m[2][2], m[0][1] + m[1][0], m[2][0] + m[0][2]),
        (m[2][0] - m[0][2], m[0][1] + m[1][0], 1.0 - m[0][0] + m[1][1] - m[2][2], m[1][2] + m[2][1]),
        (m[0][1] - m[1][0], m[2][0] + m[0][2], m[1][2] + m[2][1], 1.0 - m[0][0] - m[1][1] + m[2][2]),
    )
    best = max(range(4), key=lambda k: candidates[k][k])
    return _unit(candidates[best])


def _rotation(q: Quaternion) -> Matrix3:
    w, x, y, z = q
    return [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)],
        [2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)],
        [2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]


def _cofactors(m: Matrix3) -> Matrix3:
    a, b, c = m
    return [_cross(b, c), _cross(c, a), _cross(a, b)]


def _cross(a: list[float], b: list[float]) -> list[float]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _determinant(m: Matrix3) -> float:
    return _dot(m[0], _cross(m[1], m[2]))


def _dot(a: list[float], b: list[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _product(a: Matrix3, b: Matrix3) -> Matrix3:
    columns = _transposed(b)
    return [[_dot(row, column) for column in columns] for row in a]


def _squares(m: Matrix3) -> float:
    return _dot(m[0], m[0]) + _dot(m[1], m[1]) + _dot(m[2], m[2])
