"""Slow twins of the kernels: plain definitions in float64 numpy or Python integers, to compare with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BITS = 32


# --- rays -------------------------------------------------------------------------------------------------------------


def triangle_distances(triangles: np.ndarray, o: np.ndarray, d: np.ndarray) -> np.ndarray:
    """(n,) distance along d to each of (n, 3, 3) triangles, inf where missed (Moeller and Trumbore 1997)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    e1, e2 = b - a, c - a
    h = np.cross(d, e2)
    det = np.einsum("ij,ij->i", e1, h)
    with np.errstate(divide="ignore", invalid="ignore"):
        s = o - a
        u = np.einsum("ij,ij->i", s, h) / det
        q = np.cross(s, e1)
        v = q @ d / det
        t = np.einsum("ij,ij->i", e2, q) / det
        hit = (det != 0.0) & (u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (t > 0.0)
    return np.where(hit, t, np.inf)


def sphere_distances(
    matrix: np.ndarray, radius: float, zmin: float, zmax: float, phi_max: float, o: np.ndarray, d: np.ndarray
) -> list[float]:
    """Distances t > 0, ascending, at which o + t d meets a clipped sphere. matrix: (4, 4) world from object, row
    vectors; phi_max in degrees, from +x towards +y."""
    inverse = np.linalg.inv(matrix)
    p = o @ inverse[:3, :3] + inverse[3, :3]
    v = d @ inverse[:3, :3]
    a, b, c = v @ v, 2.0 * p @ v, p @ p - radius * radius
    root2 = b * b - 4.0 * a * c
    if root2 < 0.0:
        return []
    hits = []
    for t in sorted(((-b - np.sqrt(root2)) / (2.0 * a), (-b + np.sqrt(root2)) / (2.0 * a))):
        q = p + t * v
        phi = np.degrees(np.arctan2(q[1], q[0])) % 360.0
        if t > 0.0 and zmin <= q[2] <= zmax and (phi <= phi_max or phi_max >= 360.0):
            hits.append(float(t))
    return hits


# --- samples ----------------------------------------------------------------------------------------------------------


def reversed_bits(x: int) -> int:
    return int(f"{x:032b}"[::-1], 2)


def sobol(index: int, dimension: int) -> int:
    """Sobol's sequence by its generator matrices, dimension 0 or 1: 32-bit fractions."""
    result = 0
    m = 1
    for k in range(BITS):
        column = (1 if dimension == 0 else m) << (BITS - 1 - k)
        if index >> k & 1:
            result ^= column & 0xFFFFFFFF
        m = (2 * m ^ m) & ((1 << (k + 2)) - 1)
    return result


def owen_scrambled(x: int, flip: Callable[[int, int], int]) -> int:
    """Nested uniform scrambling by definition (Owen 1995): bit b, from the highest, is flipped by a function of the
    bits above it. flip(bits above, b): 0 or 1."""
    result = 0
    for b in range(BITS):
        above = x >> (BITS - b)
        bit = x >> (BITS - 1 - b) & 1
        result = result << 1 | (bit ^ flip(above, b))
    return result


def flips_of(scramble: Callable[[int], int]) -> Callable[[int, int], int]:
    """The tree of flips behind a scrambling: what it does to bit b below given higher bits, with the rest zero."""

    def flip(above: int, b: int) -> int:
        return scramble(above << (BITS - b)) >> (BITS - 1 - b) & 1

    return flip


# --- surfaces ---------------------------------------------------------------------------------------------------------


def dielectric_fresnel(cos: np.ndarray, ior: float) -> np.ndarray:
    """Unpolarised reflectance by Fresnel's amplitudes."""
    cos_t = np.sqrt(np.asarray(1.0 - (1.0 - cos * cos) / ior**2, "c16"))
    rs = (cos - ior * cos_t) / (cos + ior * cos_t)
    rp = (ior * cos - cos_t) / (ior * cos + cos_t)
    return (np.abs(rs) ** 2 + np.abs(rp) ** 2) / 2.0


def conductor_fresnel(cos: np.ndarray, reflectivity: float, edge: float) -> np.ndarray:
    """Reflectance of a metal of complex index n + ik by Fresnel's amplitudes; n, k from Gulbrandsen (2014)."""
    r, g = min(reflectivity, 0.999), min(edge, 0.999)
    n = g * (1 - r) / (1 + r) + (1 - g) * (1 + np.sqrt(r)) / (1 - np.sqrt(r))
    k = np.sqrt(max(0.0, (r * (n + 1) ** 2 - (n - 1) ** 2) / (1 - r)))
    index = n + 1j * k
    cos_t = np.sqrt(1.0 - (1.0 - cos * cos) / index**2)
    rs = (cos - index * cos_t) / (cos + index * cos_t)
    rp = (index * cos - cos_t) / (index * cos + cos_t)
    return (np.abs(rs) ** 2 + np.abs(rp) ** 2) / 2.0


def ggx_density(alpha: float, cos: np.ndarray) -> np.ndarray:
    """D (Walter et al. 2007)."""
    tan2 = (1.0 - cos * cos) / (cos * cos)
    return 1.0 / (np.pi * alpha**2 * cos**4 * (1.0 + tan2 / alpha**2) ** 2)


def smith_lambda(alpha: float, cos: np.ndarray) -> np.ndarray:
    tan2 = (1.0 - cos * cos) / (cos * cos)
    return (np.sqrt(1.0 + alpha**2 * tan2) - 1.0) / 2.0


def ggx_reflection(wo: np.ndarray, wi: np.ndarray, alpha: float) -> np.ndarray:
    """D G / (4 cos cos) with the height-correlated G; (..., 3) local directions."""
    h = wo + wi
    h = h / np.linalg.norm(h, axis=-1, keepdims=True)
    g = 1.0 / (1.0 + smith_lambda(alpha, wo[..., 2]) + smith_lambda(alpha, wi[..., 2]))
    return ggx_density(alpha, h[..., 2]) * g / (4.0 * wo[..., 2] * wi[..., 2])


# --- filters ----------------------------------------------------------------------------------------------------------


def cubic_distribution(x: np.ndarray) -> np.ndarray:
    """Cumulated cubic B-spline of support [-2, 2]."""
    a = np.minimum(np.abs(x), 2.0)
    inner = 2.0 / 3.0 * a - a**3 / 3.0 + a**4 / 8.0
    outer = 0.5 - (2.0 - a) ** 4 / 24.0
    return 0.5 + np.sign(x) * np.where(a < 1.0, inner, outer)


def quadratic_distribution(x: np.ndarray) -> np.ndarray:
    """Cumulated quadratic B-spline of support [-1.5, 1.5]."""
    a = np.minimum(np.abs(x), 1.5)
    inner = 0.75 * a - a**3 / 3.0
    outer = 0.5 - (1.5 - a) ** 3 / 6.0
    return 0.5 + np.sign(x) * np.where(a < 0.5, inner, outer)
