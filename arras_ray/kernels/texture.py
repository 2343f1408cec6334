"""Maps: what a bound attribute is multiplied by. Primitive attributes at every rate, st, position, normals."""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import INV_TWO_PI, ONE, ZERO, kernel
from arras_ray.kernels.intersect import point
from arras_ray.kernels.layout import (
    CONSTANT,
    FACE_VARYING,
    MAP_ATTRIBUTE,
    MAP_GEOMETRIC_NORMAL,
    MAP_POSITION,
    MAP_ST,
    MESH,
    NONE,
    PART,
    UNIFORM,
)
from arras_ray.kernels.parcels import (
    assignments_of,
    attributes_of,
    geometries_of,
    maps_of,
    points_of,
    triangles_of,
)
from arras_ray.kernels.vec import lerp3, transform_point

THIRD = np.float32(1.0 / 3.0)


@kernel
def interpolate(points, first, rate, triangle, part, u, v):
    """A value stored at `first` in points, at a rate, on a mesh."""
    if rate == CONSTANT:
        return point(points, first)
    if rate == PART:
        return point(points, first + part)
    if rate == UNIFORM:
        return point(points, first + np.int64(triangle.face))
    ids = triangle.corner if rate == FACE_VARYING else triangle.v
    return lerp3(
        point(points, first + np.int64(ids[0])),
        point(points, first + np.int64(ids[1])),
        point(points, first + np.int64(ids[2])),
        u,
        v,
    )


@kernel
def eval_map(scene, map_id, g, index, row, u, v, p, ng, ns):
    """The map's colour at a hit: geometry g, triangle `index` (NONE on a sphere), Layer row, barycentrics."""
    map_record = maps_of(scene)[map_id]
    geometry = geometries_of(scene)[g]
    points = points_of(scene)
    kind = map_record.kind
    if kind == MAP_POSITION:
        return p
    if kind == MAP_GEOMETRIC_NORMAL:
        return ng
    if kind == MAP_ST:
        if geometry.kind == MESH and geometry.first_st != NONE:
            st = interpolate(points, geometry.first_st, geometry.st_rate, triangles_of(scene)[index], 0, u, v)
            return (st[0], st[1], ZERO)
        if geometry.kind != MESH:
            return sphere_st(geometry, p)
        return (ZERO, ZERO, ZERO)
    if kind == MAP_ATTRIBUTE:
        attributes = attributes_of(scene)
        for i in range(geometry.first_attribute, geometry.first_attribute + geometry.n_attributes):
            attribute = attributes[i]
            if attribute.key == map_record.key:
                if geometry.kind == MESH:
                    part = assignments_of(scene)[row].part
                    return interpolate(points, attribute.first, attribute.rate, triangles_of(scene)[index], part, u, v)
                return point(points, attribute.first)
        default = map_record.default
        return (default[0], default[1], default[2])
    return ns


@kernel
def sphere_st(geometry, p):
    """s = phi / phi_max, t from zmin to zmax by polar angle's z, of a point on a sphere; pole along object z."""
    q = transform_point(geometry.object, p)
    turn = np.float32(np.arctan2(q[1], q[0])) * INV_TWO_PI
    if turn < ZERO:
        turn += ONE
    s = turn / (geometry.phi_max * INV_TWO_PI)
    height = geometry.zmax - geometry.zmin
    t = (q[2] - geometry.zmin) / height if height > ZERO else ZERO
    return (s, t, ZERO)


@kernel
def mean(c):
    """A map on a float attribute counts as the mean of its channels."""
    return (c[0] + c[1] + c[2]) * THIRD
