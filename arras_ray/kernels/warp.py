"""Unit squares warped to what a renderer samples. `sample_x` with its `x_pdf`; solid angles in steradians."""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import HALF, INV_PI, INV_TWO_PI, ONE, TWO, ZERO, kernel
from arras_ray.kernels.vec import root, sincos_quarter, sincos_turn


@kernel
def sample_disk(u0, u1):
    """Concentric map of the square to the unit disk (Shirley and Chiu 1997), uniform in area."""
    a = TWO * u0 - ONE
    b = TWO * u1 - ONE
    wide = abs(a) > abs(b)
    r = a if wide else b
    other = b if wide else a
    ratio = other / r if r != ZERO else ZERO
    s, c = sincos_quarter(HALF * ratio)
    near = r * c
    far = r * s
    return (near if wide else far), (far if wide else near)


@kernel
def sample_cosine(u0, u1):
    """Direction about +z, density cos / pi."""
    x, y = sample_disk(u0, u1)
    return (x, y, root(max(ZERO, ONE - x * x - y * y)))


@kernel
def cosine_pdf(w):
    return max(ZERO, w[2]) * INV_PI


@kernel
def sample_cone(u0, u1, one_minus_cos_max):
    """Direction about +z, uniform in the cone whose half angle has cosine 1 - one_minus_cos_max."""
    z1 = u0 * one_minus_cos_max
    r = root(max(ZERO, z1 * (TWO - z1)))
    s, c = sincos_turn(u1)
    return (r * c, r * s, ONE - z1)


@kernel
def cone_pdf(one_minus_cos_max):
    return INV_TWO_PI / one_minus_cos_max


@kernel
def sample_sphere(u0, u1):
    """Direction uniform over the sphere, density 1 / (4 pi)."""
    z = ONE - TWO * u0
    r = root(max(ZERO, ONE - z * z))
    s, c = sincos_turn(u1)
    return (r * c, r * s, z)


@kernel
def sphere_pdf():
    return HALF * INV_TWO_PI


@kernel
def sample_visible_normal(wo, alpha, u0, u1):
    """Microfacet normal of GGX seen from wo (local, wo.z > 0), isotropic (Heitz 2018)."""
    vx = alpha * wo[0]
    vy = alpha * wo[1]
    vz = wo[2]
    n = ONE / root(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * n, vy * n, vz * n
    l2 = vx * vx + vy * vy
    if l2 > ZERO:
        il = ONE / root(l2)
        t1x, t1y = -vy * il, vx * il
    else:
        t1x, t1y = ONE, ZERO
    t2x, t2y, t2z = -vz * t1y, vz * t1x, vx * t1y - vy * t1x
    p1, p2 = sample_disk(u0, u1)
    s = HALF * (ONE + vz)
    p2 = (ONE - s) * root(max(ZERO, ONE - p1 * p1)) + s * p2
    pz = root(max(ZERO, ONE - p1 * p1 - p2 * p2))
    hx = p1 * t1x + p2 * t2x + pz * vx
    hy = p1 * t1y + p2 * t2y + pz * vy
    hz = p2 * t2z + pz * vz
    hx, hy, hz = alpha * hx, alpha * hy, max(np.float32(1e-6), hz)
    n = ONE / root(hx * hx + hy * hy + hz * hz)
    return (hx * n, hy * n, hz * n)
