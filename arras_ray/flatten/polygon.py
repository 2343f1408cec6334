"""One polygon of any number of corners, convex or not, cut into triangles by clipping ears (Meisters 1975)."""

from __future__ import annotations

import numpy as np


def cut_polygon(points: np.ndarray) -> np.ndarray:
    """(n - 2, 3) corner numbers, wound as the polygon is. points: (n, 3), nearly flat, n >= 3.

    A polygon that crosses itself still gives n - 2 triangles.
    """
    flat = _flattened(points)
    left = list(range(len(points)))
    triangles: list[tuple[int, int, int]] = []
    at = 0
    misses = 0
    while len(left) > 3:
        n = len(left)
        a, b, c = left[at - 1], left[at % n], left[(at + 1) % n]
        if misses > n or _is_ear(flat, left, a, b, c):
            triangles.append((a, b, c))
            del left[at % n]
            misses = 0
            at = at % len(left)
        else:
            at = (at + 1) % n
            misses += 1
    triangles.append((left[0], left[1], left[2]))
    return np.array(triangles, "i8")


def _flattened(points: np.ndarray) -> np.ndarray:
    """(n, 2) in the plane of the polygon's mean normal (Newell), counter-clockwise."""
    following = np.roll(points, -1, axis=0)
    normal = np.cross(points, following).sum(axis=0)
    drop = int(np.abs(normal).argmax())
    flat = np.delete(points, drop, axis=1)
    if (normal[drop] < 0.0) != (drop == 1):
        flat = flat[:, ::-1]
    return flat


def _turn(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
    return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))


def _is_ear(flat: np.ndarray, left: list[int], a: int, b: int, c: int) -> bool:
    p, q, r = flat[a], flat[b], flat[c]
    if _turn(p, q, r) <= 0.0:
        return False
    for i in left:
        x = flat[i]
        # a corner in the same place does not hide the ear: outlines with holes pass such corners twice
        if (x == p).all() or (x == q).all() or (x == r).all():
            continue
        if _turn(p, q, x) >= 0.0 and _turn(q, r, x) >= 0.0 and _turn(r, p, x) >= 0.0:
            return False
    return True
