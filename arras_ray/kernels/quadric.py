"""Spheres as Embree user geometry, with MoonRay's clipping (zmin, zmax, phi_max) and any node_xform.

Embree calls back with the address of the geometry's record (layout.GEOMETRY). The ray is taken to object space, where
the sphere is about the origin with its pole along z; distances stay world distances, because the direction is not
normalised. The quadratic is solved in float64, which needs nothing but a square root.
"""

from __future__ import annotations

import math

import numpy as np

from arras_ray.kernels.config import DISABLE_JIT, kernel, numba
from arras_ray.kernels.layout import GEOMETRY

types = numba.types
carray = numba.carray

_FIELDS = GEOMETRY.fields
assert _FIELDS is not None


def _word(name: str) -> int:
    return _FIELDS[name][1] // 4


WORLD, OBJECT = _word("world"), _word("object")
RADIUS, ZMIN, ZMAX = _word("radius"), _word("zmin"), _word("zmax")
PHI_MAX, PHI_COS, PHI_SIN, ID = _word("phi_max"), _word("phi_cos"), _word("phi_sin"), _word("id")
WORDS = GEOMETRY.itemsize // 4

_SIGNATURE = types.void(types.CPointer(types.voidptr))


# Embree calls these, not Python, so they are compiled even where NUMBA_DISABLE_JIT keeps all kernels in Python.
numba.config.DISABLE_JIT = 0


@numba.cfunc(_SIGNATURE, cache=True)
def _bounds(arguments):
    """RTCBoundsFunctionArguments: user data, primitive and time step, out box (lower xyz, pad, upper xyz, pad)."""
    words = carray(arguments, 3)
    g = carray(words[0], WORDS, np.float32)
    box = carray(words[2], 8, np.float32)
    r = g[RADIUS]
    for axis in range(3):
        reach = np.float32(0.0)
        for row in range(3):
            reach += abs(g[WORLD + row * 3 + axis]) * r
        centre = g[WORLD + 9 + axis]
        slack = (abs(centre) + reach) * np.float32(1e-5)
        box[axis] = centre - reach - slack
        box[4 + axis] = centre + reach + slack


@kernel
def _nearest(g, ray):
    """Smallest valid t in (tnear, tfar] of the clipped sphere, or a negative number."""
    ox = oy = oz = dx = dy = dz = 0.0
    px, py, pz = float(ray[0]), float(ray[1]), float(ray[2])
    vx, vy, vz = float(ray[4]), float(ray[5]), float(ray[6])
    m = g[OBJECT : OBJECT + 12]
    ox = px * m[0] + py * m[3] + pz * m[6] + m[9]
    oy = px * m[1] + py * m[4] + pz * m[7] + m[10]
    oz = px * m[2] + py * m[5] + pz * m[8] + m[11]
    dx = vx * m[0] + vy * m[3] + vz * m[6]
    dy = vx * m[1] + vy * m[4] + vz * m[7]
    dz = vx * m[2] + vy * m[5] + vz * m[8]
    r = float(g[RADIUS])
    a = dx * dx + dy * dy + dz * dz
    if a <= 0.0:
        return -1.0
    middle = -(ox * dx + oy * dy + oz * dz) / a
    cx, cy, cz = ox + middle * dx, oy + middle * dy, oz + middle * dz
    rest = (r * r - (cx * cx + cy * cy + cz * cz)) / a
    if rest < 0.0:
        return -1.0
    half = math.sqrt(rest)
    for sign in (-1.0, 1.0):
        t = middle + sign * half
        if t <= ray[3] or t > ray[8]:
            continue
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        if z < g[ZMIN] or z > g[ZMAX]:
            continue
        if g[PHI_MAX] < 6.2831:
            before_end = y * g[PHI_COS] - x * g[PHI_SIN] <= 0.0
            after_start = y >= 0.0
            if g[PHI_MAX] <= 3.1415927:
                inside = after_start and before_end
            else:
                inside = after_start or before_end
            if not inside:
                continue
        return t
    return -1.0


@numba.cfunc(_SIGNATURE, cache=True, error_model="numpy")
def _intersect(arguments):
    """RTCIntersectFunctionNArguments with N = 1: valid, user data, primitive, context, ray and hit."""
    words = carray(arguments, 6)
    g = carray(words[1], WORDS, np.float32)
    ids = carray(words[1], WORDS, np.uint32)
    ray = carray(words[4], 21, np.float32)
    hit = carray(words[4], 21, np.uint32)
    t = _nearest(g, ray)
    if t >= 0.0:
        ray[8] = t
        hit[17] = np.uint32(0)
        hit[18] = ids[ID]
        hit[19] = np.uint32(0xFFFFFFFF)


@numba.cfunc(_SIGNATURE, cache=True, error_model="numpy")
def _occluded(arguments):
    """RTCOccludedFunctionNArguments with N = 1."""
    words = carray(arguments, 6)
    g = carray(words[1], WORDS, np.float32)
    ray = carray(words[4], 12, np.float32)
    if _nearest(g, ray) >= 0.0:
        ray[8] = np.float32(-np.inf)


numba.config.DISABLE_JIT = int(DISABLE_JIT)


def bounds_address() -> int:
    """Address of the C callback Embree asks for a sphere's box."""
    return int(_bounds.address)


def intersect_address() -> int:
    """Address of the C callback for closest hits."""
    return int(_intersect.address)


def occluded_address() -> int:
    """Address of the C callback for any hit."""
    return int(_occluded.address)
