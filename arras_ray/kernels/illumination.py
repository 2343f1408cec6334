"""Light at a vertex, joined by MIS: sampled from the lights, and met by the rays that BSDF sampling sends out.

`direct_light` samples the lights of a surface's Layer row; `lights_along` collects the same lights along a ray that
left the surface. What the latter finds counts for the vertex the ray left.
"""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.bsdf import eval_bsdf
from arras_ray.kernels.config import BLACK, INF, ONE, ZERO, inlined, kernel
from arras_ray.kernels.intersect import any_hit, spawn
from arras_ray.kernels.layout import (
    ENV_LIGHT,
    EVENT_LIGHT,
    EVENT_LIGHT_SAMPLE,
    NONE,
    SEE_DIFFUSE,
    SEE_GLOSSY,
    SEE_SHADOW,
)
from arras_ray.kernels.light import intersect_light, light_pdf, power_heuristic, sample_light
from arras_ray.kernels.parcels import assignments_of, camera_lights_of, light_ids_of, lights_of
from arras_ray.kernels.sampler import DIM_LIGHT, draw_2d
from arras_ray.kernels.story import NO_LOG, log_event
from arras_ray.kernels.vec import add, dot, max_component, mul, scale, to_local

SHADOW_LENGTH = np.float32(1.0 - 2.0**-14)
"""Shadow rays stop just short of their light, so that geometry lying in its plane does not hide it."""

LIGHT_STRIDE = np.uint32(0x5851F42D)
"""Keeps the samples of different lights apart."""


@inlined
def direct_light(scene, ray, row, n_samples, pixel, sample, vertex, p, ng, ns, error, s, t, wo, closure, qd, n_bsdf,
                 log, depth, throughput):  # fmt: skip
    """Light reflected at p from n_samples of each light of a Layer row, MIS-weighted against n_bsdf BSDF samples."""
    lights = lights_of(scene)
    light_ids = light_ids_of(scene)
    assignment = assignments_of(scene)[row]
    kd, wm, ws, alpha, ior, metal, edge = closure
    total = BLACK
    share = ONE / np.float32(n_samples)
    for i in range(assignment.first_light, assignment.first_light + assignment.n_lights):
        light_id = light_ids[i]
        light = lights[light_id]
        # A light hidden from a lobe is hidden from both halves of MIS.
        diffuse = kd if light.mask & np.uint32(SEE_DIFFUSE) != np.uint32(0) else BLACK
        glossy = ONE if light.mask & np.uint32(SEE_GLOSSY) != np.uint32(0) else ZERO
        key = pixel + np.uint32(np.uint32(light_id) * LIGHT_STRIDE)
        for k in range(n_samples):
            u0, u1 = draw_2d(key, sample * n_samples + k, vertex, DIM_LIGHT)
            d, distance, pdf = sample_light(light, p, ns, u0, u1)
            if pdf <= ZERO or dot(d, ng) <= ZERO:
                continue
            f, bsdf_pdf = eval_bsdf(
                wo, to_local(s, t, ns, d), diffuse, wm * glossy, ws * glossy, alpha, ior, metal, edge, qd
            )
            if max_component(f) <= ZERO:
                continue
            if any_hit(scene, ray, spawn(p, ng, error, d), d, distance * SHADOW_LENGTH, SEE_SHADOW):
                continue
            weight = power_heuristic(n_samples, pdf, n_bsdf, bsdf_pdf) * share / pdf
            radiance = (light.radiance[0], light.radiance[1], light.radiance[2])
            gain = scale(mul(f, radiance), weight)
            total = add(total, gain)
            if log != NO_LOG:
                log_event(log, depth, EVENT_LIGHT_SAMPLE, NONE, NONE, NONE, light_id, distance, p, d, throughput,
                          mul(throughput, gain), pdf)  # fmt: skip
    return total


@inlined
def lights_of_row(scene, row):
    """Light numbers, and which run of them lights a Layer row (NONE: is seen by the camera)."""
    if row == NONE:
        return camera_lights_of(scene), np.int64(0), np.int64(scene.n_camera_lights)
    assignment = assignments_of(scene)[row]
    return light_ids_of(scene), np.int64(assignment.first_light), np.int64(assignment.n_lights)


@kernel
def lights_along(scene, row, o, d, ns, t_hit, mask, n_light, n_bsdf, pdf, log, depth, throughput):
    """Radiance of the lights a ray passes before t_hit, each weighted by MIS; pdf inf: the ray came off a mirror or the
    camera, where lights cannot be sampled, and counts in full. Row NONE: the lights a camera sees."""
    total = BLACK
    lights = lights_of(scene)
    ids, first, n_lights = lights_of_row(scene, row)
    for i in range(first, first + n_lights):
        light_id = ids[i]
        light = lights[light_id]
        if light.mask & np.uint32(mask) == np.uint32(0):
            continue
        t = intersect_light(light, o, d)
        if light.kind == ENV_LIGHT:
            if t_hit < INF:
                continue
        elif t >= t_hit:
            continue
        weight = ONE
        if pdf < INF:
            weight = power_heuristic(n_bsdf, pdf, n_light, light_pdf(light, o, d, ns, t))
        gain = (light.radiance[0] * weight, light.radiance[1] * weight, light.radiance[2] * weight)
        total = add(total, gain)
        if log != NO_LOG:
            log_event(
                log, depth, EVENT_LIGHT, NONE, NONE, NONE, light_id, t, o, d, throughput, mul(throughput, gain), pdf
            )
    return total


@kernel
def meets_light(scene, row, o, d, mask):
    """Whether any light lies along the ray: where a path may not go on, only then is its last ray worth tracing."""
    lights = lights_of(scene)
    ids, first, n_lights = lights_of_row(scene, row)
    for i in range(first, first + n_lights):
        light = lights[ids[i]]
        if light.mask & np.uint32(mask) != np.uint32(0) and (
            light.kind == ENV_LIGHT or intersect_light(light, o, d) < INF
        ):
            return True
    return False
