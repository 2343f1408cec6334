"""Lights: sample a direction towards one, its density, and where a ray meets one. World space.

Lights are no geometry: they stop no ray. Radiance is constant over a light and comes in its record.
Densities are per solid angle.
"""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import INF, INV_PI, ONE, TWO, ZERO, kernel
from arras_ray.kernels.layout import ENV_LIGHT, RECT_LIGHT, REVERSE, TWO_SIDED
from arras_ray.kernels.vec import add, dot, frame, root, scale, sub, to_world
from arras_ray.kernels.warp import cone_pdf, sample_cone, sample_cosine, sample_sphere

NOWHERE = (ZERO, ZERO, ONE)


@kernel
def sample_rect(light, p, u0, u1):
    c, a, b, n = light.position, light.u_axis, light.v_axis, light.normal
    x = TWO * u0 - ONE
    y = TWO * u1 - ONE
    to = (
        c[0] + x * a[0] + y * b[0] - p[0],
        c[1] + x * a[1] + y * b[1] - p[1],
        c[2] + x * a[2] + y * b[2] - p[2],
    )
    d2 = dot(to, to)
    if d2 <= ZERO:
        return NOWHERE, ZERO, ZERO
    distance = root(d2)
    wi = scale(to, ONE / distance)
    cos = -dot(wi, (n[0], n[1], n[2]))
    if light.sidedness == TWO_SIDED:
        cos = abs(cos)
    if cos <= ZERO:
        return NOWHERE, ZERO, ZERO
    return wi, distance, d2 / (cos * light.area)


@kernel
def intersect_rect(light, o, d):
    """Distance to the emitting side, or inf."""
    c, n = light.position, light.normal
    cos = d[0] * n[0] + d[1] * n[1] + d[2] * n[2]
    if cos == ZERO or (cos > ZERO and light.sidedness != TWO_SIDED):
        return INF
    to = (c[0] - o[0], c[1] - o[1], c[2] - o[2])
    t = (to[0] * n[0] + to[1] * n[1] + to[2] * n[2]) / cos
    if t <= ZERO:
        return INF
    q = (d[0] * t - to[0], d[1] * t - to[1], d[2] * t - to[2])
    a, b = light.u_axis, light.v_axis
    ua = (a[0], a[1], a[2])
    ub = (b[0], b[1], b[2])
    if abs(dot(q, ua)) > dot(ua, ua) or abs(dot(q, ub)) > dot(ub, ub):
        return INF
    return t


@kernel
def rect_pdf(light, d, t):
    n = light.normal
    cos = abs(d[0] * n[0] + d[1] * n[1] + d[2] * n[2])
    return t * t / (cos * light.area)


@kernel
def sphere_cone(light, p):
    """1 - cos of the half angle a sphere light is seen under, or 0 from inside."""
    c = light.position
    to = (c[0] - p[0], c[1] - p[1], c[2] - p[2])
    s2 = light.radius * light.radius / dot(to, to)
    if s2 >= ONE:
        return ZERO
    return s2 / (ONE + root(ONE - s2))


@kernel
def sample_sphere_light(light, p, u0, u1):
    """Outside: uniform in the cone it fills. A reversed one, lit inwards: uniform by area."""
    c = light.position
    to = (c[0] - p[0], c[1] - p[1], c[2] - p[2])
    if light.sidedness == REVERSE:
        n = sample_sphere(u0, u1)
        to = add(to, scale(n, light.radius))
        d2 = dot(to, to)
        if d2 <= ZERO:
            return NOWHERE, ZERO, ZERO
        distance = root(d2)
        wi = scale(to, ONE / distance)
        cos = dot(wi, n)
        if cos <= ZERO:
            return NOWHERE, ZERO, ZERO
        return wi, distance, d2 / (cos * light.area)
    spread = sphere_cone(light, p)
    if spread <= ZERO:
        return NOWHERE, ZERO, ZERO
    axis = scale(to, ONE / root(dot(to, to)))
    s, t = frame(axis)
    wi = to_world(s, t, axis, sample_cone(u0, u1, spread))
    return wi, sphere_distance(light, p, wi, -ONE), cone_pdf(spread)


@kernel
def sphere_distance(light, o, d, sign):
    """Distance to the near (sign -1) or far (+1) crossing; a ray that just misses gets its nearest point."""
    c = light.position
    to = (c[0] - o[0], c[1] - o[1], c[2] - o[2])
    middle = dot(to, d)
    off = sub(to, scale(d, middle))
    rest = max(ZERO, light.radius * light.radius - dot(off, off))
    return middle + sign * root(rest)


@kernel
def intersect_sphere_light(light, o, d):
    c = light.position
    to = (c[0] - o[0], c[1] - o[1], c[2] - o[2])
    middle = dot(to, d)
    off = sub(to, scale(d, middle))
    rest = light.radius * light.radius - dot(off, off)
    if rest <= ZERO:
        return INF
    t = middle + root(rest) if light.sidedness == REVERSE else middle - root(rest)
    return t if t > ZERO else INF


@kernel
def sphere_light_pdf(light, o, d, t):
    if light.sidedness == REVERSE:
        c = light.position
        n = (o[0] + d[0] * t - c[0], o[1] + d[1] * t - c[1], o[2] + d[2] * t - c[2])
        cos = dot(d, n) / light.radius
        return t * t / (cos * light.area) if cos > ZERO else ZERO
    spread = sphere_cone(light, o)
    return cone_pdf(spread) if spread > ZERO else ZERO


@kernel
def sample_env(ns, u0, u1):
    """A constant sky is sampled by the cosine about the normal: exact for an open diffuse surface."""
    w = sample_cosine(u0, u1)
    s, t = frame(ns)
    return to_world(s, t, ns, w), INF, w[2] * INV_PI


@kernel
def sample_light(light, p, ns, u0, u1):
    """Direction from p, distance (inf for a sky), density; density 0: no sample."""
    if light.kind == RECT_LIGHT:
        return sample_rect(light, p, u0, u1)
    if light.kind == ENV_LIGHT:
        return sample_env(ns, u0, u1)
    return sample_sphere_light(light, p, u0, u1)


@kernel
def intersect_light(light, o, d):
    """Distance at which the ray meets the light's emitting side; inf if not, and for a sky."""
    if light.kind == RECT_LIGHT:
        return intersect_rect(light, o, d)
    if light.kind == ENV_LIGHT:
        return INF
    return intersect_sphere_light(light, o, d)


@kernel
def light_pdf(light, o, d, ns, t):
    """Density with which `sample_light` from o (normal ns) would have taken direction d, met at distance t."""
    if light.kind == RECT_LIGHT:
        return rect_pdf(light, d, t)
    if light.kind == ENV_LIGHT:
        return max(ZERO, dot(d, ns)) * INV_PI
    return sphere_light_pdf(light, o, d, t)


@kernel
def power_heuristic(n_a, pdf_a, n_b, pdf_b):
    """Weight of a sample of technique a (Veach 1997, beta = 2); counts and densities, pdf_a > 0.

    By the ratio: squares of the densities of small, far lights would overflow."""
    ratio = (np.float32(n_b) * pdf_b) / (np.float32(n_a) * pdf_a)
    return ONE / (ONE + ratio * ratio)
