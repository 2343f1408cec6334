"""From a pixel and two numbers to a camera ray. Camera space looks down -z, y up; raster origin bottom-left.

The pixel filter is importance sampled: the position in the pixel is warped by the filter's inverse distribution and
every sample counts 1, so that a sample touches one pixel and tiles have no borders.
"""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import FOUR, HALF, ONE, TWO, kernel
from arras_ray.kernels.layout import BOX_FILTER, CUBIC_FILTER
from arras_ray.kernels.vec import dot, root, scale, transform_vector

TABLE_SIZE = 1024


def _inverse_distribution(weights: np.ndarray, half_width: float) -> np.ndarray:
    """Inverse of the cumulated weights over [-half_width, half_width], at TABLE_SIZE + 1 even steps, float32."""
    cumulated = np.concatenate([[0.0], np.cumsum(weights)])
    cumulated /= cumulated[-1]
    edges = np.linspace(-half_width, half_width, len(cumulated))
    return np.interp(np.linspace(0.0, 1.0, TABLE_SIZE + 1), cumulated, edges).astype(np.float32)


def _midpoints(half_width: float) -> np.ndarray:
    n = 1 << 16
    return np.abs((np.arange(n) + 0.5) / n * 2.0 * half_width - half_width)


def _cubic_b_spline() -> np.ndarray:
    x = _midpoints(2.0)
    inner = 2.0 / 3.0 - x * x + x * x * x / 2.0
    outer = (2.0 - x) * (2.0 - x) * (2.0 - x) / 6.0
    return _inverse_distribution(np.where(x < 1.0, inner, outer), 2.0)


def _quadratic_b_spline() -> np.ndarray:
    x = _midpoints(1.5)
    inner = 0.75 - x * x
    outer = (1.5 - x) * (1.5 - x) / 2.0
    return _inverse_distribution(np.where(x < 0.5, inner, outer), 1.5)


CUBIC_TABLE = _cubic_b_spline()
QUADRATIC_TABLE = _quadratic_b_spline()
THIRD = np.float32(1.0 / 3.0)


@kernel
def look_up(table, u):
    """Linear interpolation of an inverse distribution at u in [0, 1)."""
    x = u * np.float32(TABLE_SIZE)
    i = int(x)
    f = x - np.float32(i)
    return table[i] * (ONE - f) + table[i + 1] * f


@kernel
def filter_offset(kind, width, u):
    """Distance from the pixel's centre, pixels, on one axis. MoonRay's widths: a box of `width`, the cubic B-spline's
    support of 4 scaled by width / 4, the quadratic's of 3 by width / 3."""
    if kind == BOX_FILTER:
        return (u - HALF) * width
    if kind == CUBIC_FILTER:
        return look_up(CUBIC_TABLE, u) * (width / FOUR)
    return look_up(QUADRATIC_TABLE, u) * (width * THIRD)


@kernel
def camera_ray(camera, settings, x, y, u0, u1):
    """World-space ray through pixel (x, y): origin, unit direction, near and far distance along it."""
    fx = np.float32(x) + HALF + filter_offset(settings.filter, settings.filter_width, u0)
    fy = np.float32(y) + HALF + filter_offset(settings.filter, settings.filter_width, u1)
    sx = camera.x + camera.half_width * (TWO * fx / np.float32(settings.width) - ONE)
    sy = camera.y + camera.half_height * (TWO * fy / np.float32(settings.height) - ONE)
    # The axes are orthonormal, so the length before normalising is 1 / cos to the view axis.
    m = camera.matrix
    d = transform_vector(m, (sx, sy, -ONE))
    slant = root(dot(d, d))
    d = scale(d, ONE / slant)
    return (m[3, 0], m[3, 1], m[3, 2]), d, camera.near * slant, camera.far * slant
