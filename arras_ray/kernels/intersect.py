"""Rays against the scene: closest hit, any hit, and the surface at a hit. World space, scene units."""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import INF, ONE, ORIGIN_ERROR, ZERO, inlined, kernel
from arras_ray.kernels.embree import (
    DIR,
    GEOM_ID,
    HIT_U,
    HIT_V,
    INST_ID,
    INVALID,
    MASK,
    NG,
    ORG,
    PRIM_ID,
    TFAR,
    TNEAR,
    rtc_intersect,
    rtc_occluded,
)
from arras_ray.kernels.layout import FACE_VARYING, MESH, NONE
from arras_ray.kernels.parcels import geometries_of, points_of, ray_floats, ray_words, triangles_of
from arras_ray.kernels.vec import (
    dot,
    lerp3,
    normalize,
    root,
    scale,
    transform_normal,
    transform_point,
)


@inlined
def set_ray(ray, o, d, t_near, t_far, mask):
    ray_f = ray_floats(ray)
    ray_u = ray_words(ray)
    ray_f[ORG] = o[0]
    ray_f[ORG + 1] = o[1]
    ray_f[ORG + 2] = o[2]
    ray_f[TNEAR] = t_near
    ray_f[DIR] = d[0]
    ray_f[DIR + 1] = d[1]
    ray_f[DIR + 2] = d[2]
    ray_f[TFAR] = t_far
    ray_u[MASK] = np.uint32(mask)


@inlined
def closest_hit(scene, ray, o, d, t_near, t_far, mask):
    """Distance to the nearest geometry that rays of `mask` see, or inf. The record keeps ids and barycentrics."""
    set_ray(ray, o, d, t_near, t_far, mask)
    ray_u = ray_words(ray)
    ray_u[GEOM_ID] = INVALID
    ray_u[INST_ID] = INVALID
    rtc_intersect(scene.bvh, ray, np.uint64(0))
    if ray_u[GEOM_ID] == INVALID:
        return INF
    return ray_floats(ray)[TFAR]


@inlined
def any_hit(scene, ray, o, d, t_far, mask):
    """Whether anything that rays of `mask` see lies between o and o + t_far d."""
    set_ray(ray, o, d, ZERO, t_far, mask)
    rtc_occluded(scene.bvh, ray, np.uint64(0))
    return ray_floats(ray)[TFAR] < ZERO


@kernel
def point(points, i):
    return (points[i, 0], points[i, 1], points[i, 2])


@inlined
def mesh_surface(geometry, triangle, points, ng, u, v):
    """Hit point, geometric and shading normal (unit, as the mesh gives them), error radius. ng: the face's."""
    first = geometry.first_vertex
    a = point(points, first + np.int64(triangle.v[0]))
    b = point(points, first + np.int64(triangle.v[1]))
    c = point(points, first + np.int64(triangle.v[2]))
    p = lerp3(a, b, c, u, v)
    w = ONE - u - v
    error = ORIGIN_ERROR * (
        max(
            w * abs(a[0]) + u * abs(b[0]) + v * abs(c[0]),
            max(w * abs(a[1]) + u * abs(b[1]) + v * abs(c[1]), w * abs(a[2]) + u * abs(b[2]) + v * abs(c[2])),
        )
    )
    ns = ng
    if geometry.first_normal != NONE:
        n = geometry.first_normal
        ids = triangle.corner if geometry.normal_rate == FACE_VARYING else triangle.v
        ns = lerp3(
            point(points, n + np.int64(ids[0])),
            point(points, n + np.int64(ids[1])),
            point(points, n + np.int64(ids[2])),
            u,
            v,
        )
        length2 = dot(ns, ns)
        if length2 > ZERO:
            ns = scale(ns, ONE / root(length2))
        else:
            ns = ng
    return p, ng, ns, error


@kernel
def sphere_surface(geometry, o, d, t):
    """As mesh_surface; the point is put back on the sphere in object space, which is more exact than o + t d."""
    q = transform_point(geometry.object, (o[0] + d[0] * t, o[1] + d[1] * t, o[2] + d[2] * t))
    q = scale(normalize(q), geometry.radius)
    m = geometry.world
    p = transform_point(m, q)
    n = normalize(transform_normal(geometry.object, q))
    error = ORIGIN_ERROR * max(
        abs(q[0] * m[0, 0]) + abs(q[1] * m[1, 0]) + abs(q[2] * m[2, 0]) + abs(m[3, 0]),
        max(
            abs(q[0] * m[0, 1]) + abs(q[1] * m[1, 1]) + abs(q[2] * m[2, 1]) + abs(m[3, 1]),
            abs(q[0] * m[0, 2]) + abs(q[1] * m[1, 2]) + abs(q[2] * m[2, 2]) + abs(m[3, 2]),
        ),
    )
    return p, n, n, error


@inlined
def surface_at(scene, ray, o, d, t):
    """What the record's last hit struck: geometry and triangle number, Layer row, (u, v), point, normals, error.

    Normals are turned to the side the ray came from; a shading normal that does not face it then is replaced by
    the geometric one. The second value returned is the triangle's number in `triangles`, or NONE on a sphere.
    """
    ray_f = ray_floats(ray)
    ray_u = ray_words(ray)
    g = np.int64(ray_u[GEOM_ID])
    geometry = geometries_of(scene)[g]
    u, v = ray_f[HIT_U], ray_f[HIT_V]
    if geometry.kind == MESH:
        index = geometry.first_triangle + np.int64(ray_u[PRIM_ID])
        triangle = triangles_of(scene)[index]
        assignment = triangle.assignment
        ng = normalize((ray_f[NG], ray_f[NG + 1], ray_f[NG + 2]))
        p, ng, ns, error = mesh_surface(geometry, triangle, points_of(scene), ng, u, v)
    else:
        index = np.int64(NONE)
        assignment = geometry.assignment
        p, ng, ns, error = sphere_surface(geometry, o, d, t)
    if dot(ng, d) > ZERO:
        ng = scale(ng, -ONE)
    if dot(ns, ng) < ZERO:
        ns = scale(ns, -ONE)
    if dot(ns, d) >= ZERO:
        ns = ng
    return g, index, assignment, u, v, p, ng, ns, error


@inlined
def spawn(p, ng, error, d):
    """Origin of a ray that leaves the surface at p towards d: p, put off the surface on that side."""
    s = error if dot(ng, d) >= ZERO else -error
    return (p[0] + ng[0] * s, p[1] + ng[1] * s, p[2] + ng[2] * s)
