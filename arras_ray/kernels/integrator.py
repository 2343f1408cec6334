"""Radiance along one camera sample: a path tracer that joins light and BSDF samples by MIS.

A path is followed from the camera through mirrors; at its first other hit it splits as MoonRay's does, into
light_samples a light and bsdf_samples a lobe. Each BSDF sample goes on as a single path (`follow`).
"""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.bsdf import (
    DIFFUSE,
    GLOSSY,
    MIRROR,
    diffuse_share,
    eval_bsdf,
    sample_diffuse,
    sample_glossy,
    specular_fresnel,
)
from arras_ray.kernels.camera import camera_ray
from arras_ray.kernels.config import BLACK, INF, ONE, ZERO, kernel
from arras_ray.kernels.illumination import direct_light, lights_along, meets_light
from arras_ray.kernels.intersect import closest_hit, spawn, surface_at
from arras_ray.kernels.layout import (
    EVENT_BSDF,
    EVENT_EMISSION,
    EVENT_HIT,
    EVENT_MISS,
    EVENT_ROULETTE,
    NONE,
    SEE_CAMERA,
    SEE_DIFFUSE,
    SEE_GLOSSY,
    SEE_MIRROR,
)
from arras_ray.kernels.material import closure_at
from arras_ray.kernels.parcels import assignments_of
from arras_ray.kernels.sampler import DIM_BSDF, DIM_LOBE, DIM_PIXEL, DIM_ROULETTE, draw_1d, draw_2d, sample_2d
from arras_ray.kernels.story import NO_LOG, log_event
from arras_ray.kernels.vec import add, dot, frame, max_component, mul, scale, to_local, to_world


@kernel
def clamp_contribution(c, limit):
    """c scaled so that no channel is above the limit; limit 0 is off."""
    m = max_component(c)
    if limit > ZERO and m > limit:
        return scale(c, limit / m)
    return c


@kernel
def mask_of(lobe):
    if lobe == DIFFUSE:
        return SEE_DIFFUSE
    if lobe == GLOSSY:
        return SEE_GLOSSY
    return SEE_MIRROR


@kernel
def follow(scene, ray, log, pixel, sample, vertex, p, ns, o, d, throughput, pdf, lobe, row, depth, n_diffuse, n_glossy,
           n_mirror, n_light, n_bsdf, going_on):  # fmt: skip
    """Radiance that comes back along one path after its first split.

    (o, d): the ray, left with density `pdf` from p (normal ns, Layer row `row`), where n_light light and n_bsdf BSDF
    samples were taken. going_on: whether depths allow another hit; otherwise only lights are collected.
    """
    total = BLACK
    stratum = sample
    settings = scene.settings
    limit = settings.clamp_value / np.float32(settings.bsdf_samples) if settings.clamp_depth <= 0 else ZERO
    while True:
        mask = mask_of(lobe)
        if not going_on and not meets_light(scene, row, p, d, mask):
            break
        t_hit = closest_hit(scene, ray, o, d, ZERO, INF, mask)
        passed = lights_along(scene, row, p, d, ns, t_hit, mask, n_light, n_bsdf, pdf, log, depth, throughput)
        total = add(total, clamp_contribution(mul(throughput, passed), limit))
        if t_hit == INF or not going_on:
            if log != NO_LOG and t_hit == INF:
                log_event(log, depth, EVENT_MISS, NONE, NONE, NONE, NONE, INF, o, d, throughput, BLACK, pdf)
            break

        g, index, row, u, v, p, ng, ns, error = surface_at(scene, ray, o, d, t_hit)
        depth += 1
        vertex += 1
        if lobe == DIFFUSE:
            n_diffuse += 1
        elif lobe == GLOSSY:
            n_glossy += 1
        else:
            n_mirror += 1
        limit = settings.clamp_value if n_diffuse + n_glossy >= settings.clamp_depth else ZERO
        if limit > ZERO:
            limit = limit / np.float32(settings.bsdf_samples)

        wo_world = scale(d, -ONE)
        cos_o = dot(wo_world, ns)
        material_id = assignments_of(scene)[row].material
        closure, emission = closure_at(scene, material_id, g, index, row, u, v, p, ng, ns, cos_o)
        if log != NO_LOG:
            log_event(log, depth, EVENT_HIT, g, index, material_id, NONE, t_hit, p, ns, throughput, BLACK, pdf)
        if emission != BLACK:  # also where it is no number, which has to be counted
            total = add(total, clamp_contribution(mul(throughput, emission), limit))
            if log != NO_LOG:
                log_event(log, depth, EVENT_EMISSION, g, index, material_id, NONE, t_hit, p, ns, throughput,
                          mul(throughput, emission), pdf)  # fmt: skip
        kd, wm, ws, alpha, ior, metal, edge = closure
        if max_component(kd) <= ZERO and wm + ws <= ZERO:
            break
        s, t = frame(ns)
        wo = to_local(s, t, ns, wo_world)
        qd = diffuse_share(kd, wm, ws, alpha, ior, metal, edge, cos_o)
        n_light = 1
        n_bsdf = 1
        if max_component(kd) > ZERO or alpha > ZERO:
            lit = direct_light(scene, ray, row, 1, pixel, stratum, vertex, p, ng, ns, error, s, t, wo, closure, qd, 1,
                               log, depth, throughput)  # fmt: skip
            total = add(total, clamp_contribution(mul(throughput, lit), limit))

        # One lobe, one direction.
        lobe = DIFFUSE
        if qd < ONE and (qd <= ZERO or draw_1d(pixel, stratum, vertex, DIM_LOBE) >= qd):
            lobe = MIRROR if alpha <= ZERO else GLOSSY
        u0, u1 = draw_2d(pixel, stratum, vertex, DIM_BSDF)
        if lobe == MIRROR:
            wi = (-wo[0], -wo[1], wo[2])
            throughput = scale(mul(throughput, specular_fresnel(wo[2], wm, ws, ior, metal, edge)), ONE / (ONE - qd))
            pdf = INF
        else:
            wi = sample_diffuse(u0, u1) if lobe == DIFFUSE else sample_glossy(wo, alpha, u0, u1)
            f, pdf = eval_bsdf(wo, wi, kd, wm, ws, alpha, ior, metal, edge, qd)
            if pdf <= ZERO:
                break
            throughput = scale(mul(throughput, f), ONE / pdf)
        d = to_world(s, t, ns, wi)
        if dot(d, ng) <= ZERO or max_component(throughput) <= ZERO:
            break
        o = spawn(p, ng, error, d)
        if log != NO_LOG:
            log_event(log, depth, EVENT_BSDF, g, index, material_id, lobe, ZERO, o, d, throughput, BLACK, pdf)
        going_on = depth < settings.max_depth and (
            (lobe == DIFFUSE and n_diffuse < settings.max_diffuse_depth)
            or (lobe == GLOSSY and n_glossy < settings.max_glossy_depth)
            or (lobe == MIRROR and n_mirror < settings.max_mirror_depth)
        )
        bright = max_component(throughput)
        if going_on and bright < settings.roulette_threshold:
            chance = bright / settings.roulette_threshold
            if draw_1d(pixel, stratum, vertex, DIM_ROULETTE) >= chance:
                if log != NO_LOG:
                    log_event(log, depth, EVENT_ROULETTE, NONE, NONE, NONE, NONE, ZERO, o, d, throughput, BLACK,
                              chance)  # fmt: skip
                break
            throughput = scale(throughput, ONE / chance)
    return total


@kernel
def camera_sample(scene, ray, log, pixel, sample, x, y):
    """Radiance (3,) and alpha of one sample of pixel (x, y). ray: address of this thread's record; log: of a story."""
    settings = scene.settings
    u0, u1 = sample_2d(pixel, sample, DIM_PIXEL)
    o, d, near, far = camera_ray(scene.camera, settings, x, y, u0, u1)
    p = o
    ns = d
    total = BLACK
    alpha_out = ZERO
    throughput = (ONE, ONE, ONE)
    mask = SEE_CAMERA
    depth = -1
    n_mirror = 0
    row = NONE
    going_on = True
    limit = settings.clamp_value if settings.clamp_depth <= 0 else ZERO
    while True:
        t_hit = closest_hit(scene, ray, o, d, near, far, mask)
        seen = lights_along(scene, row, p, d, ns, t_hit, mask, 1, 1, INF, log, depth, throughput)
        total = add(total, mul(throughput, seen))
        if t_hit == INF or not going_on:
            if log != NO_LOG and t_hit == INF:
                log_event(log, depth, EVENT_MISS, NONE, NONE, NONE, NONE, INF, o, d, throughput, BLACK, ZERO)
            break
        g, index, row, u, v, p, ng, ns, error = surface_at(scene, ray, o, d, t_hit)
        depth += 1
        alpha_out = ONE
        wo_world = scale(d, -ONE)
        cos_o = dot(wo_world, ns)
        material_id = assignments_of(scene)[row].material
        closure, emission = closure_at(scene, material_id, g, index, row, u, v, p, ng, ns, cos_o)
        total = add(total, mul(throughput, emission))
        if log != NO_LOG:
            log_event(log, depth, EVENT_HIT, g, index, material_id, NONE, t_hit, p, ns, throughput, BLACK, ZERO)
            if emission != BLACK:
                log_event(log, depth, EVENT_EMISSION, g, index, material_id, NONE, t_hit, p, ns, throughput,
                          mul(throughput, emission), ZERO)  # fmt: skip
        kd, wm, ws, alpha, ior, metal, edge = closure
        has_diffuse = max_component(kd) > ZERO
        has_specular = wm + ws > ZERO
        has_glossy = has_specular and alpha > ZERO
        s, t = frame(ns)
        wo = to_local(s, t, ns, wo_world)

        n_lobes = (1 if has_diffuse else 0) + (1 if has_glossy else 0)
        if n_lobes > 0:
            n_bsdf = n_lobes * settings.bsdf_samples
            qd = ZERO if not has_diffuse else (ONE if not has_glossy else np.float32(0.5))
            lit = direct_light(scene, ray, row, settings.light_samples, pixel, sample, depth, p, ng, ns, error, s, t,
                               wo, closure, qd, n_bsdf, log, depth, throughput)  # fmt: skip
            total = add(total, clamp_contribution(mul(throughput, lit), limit))
            share = ONE / np.float32(n_bsdf)
            for k in range(n_bsdf):
                lobe = DIFFUSE
                stratum = sample * settings.bsdf_samples + k
                if has_glossy:
                    stratum = sample * settings.bsdf_samples + k // n_lobes
                    if not has_diffuse or k % 2 == 1:
                        lobe = GLOSSY
                u0, u1 = draw_2d(pixel + np.uint32(lobe), stratum, depth, DIM_BSDF)
                wi = sample_diffuse(u0, u1) if lobe == DIFFUSE else sample_glossy(wo, alpha, u0, u1)
                f, pdf = eval_bsdf(wo, wi, kd, wm, ws, alpha, ior, metal, edge, qd)
                if pdf <= ZERO:
                    continue
                wi_world = to_world(s, t, ns, wi)
                if dot(wi_world, ng) <= ZERO or max_component(f) <= ZERO:
                    continue
                carried = scale(mul(throughput, f), share / pdf)
                further = depth < settings.max_depth and (
                    settings.max_diffuse_depth > 0 if lobe == DIFFUSE else settings.max_glossy_depth > 0
                )
                start = spawn(p, ng, error, wi_world)
                if log != NO_LOG:
                    log_event(log, depth, EVENT_BSDF, g, index, material_id, lobe, ZERO, start, wi_world, carried,
                              BLACK, pdf)  # fmt: skip
                back = follow(scene, ray, log, pixel + np.uint32(lobe), stratum, depth, p, ns, start, wi_world,
                              carried, pdf, lobe, row, depth, 0, 0, n_mirror, settings.light_samples, n_bsdf,
                              further)  # fmt: skip
                total = add(total, back)

        if not (has_specular and alpha <= ZERO):
            break
        going_on = depth < settings.max_depth and n_mirror < settings.max_mirror_depth
        throughput = mul(throughput, specular_fresnel(wo[2], wm, ws, ior, metal, edge))
        d = to_world(s, t, ns, (-wo[0], -wo[1], wo[2]))
        if dot(d, ng) <= ZERO or max_component(throughput) <= ZERO:
            break
        o = spawn(p, ng, error, d)
        n_mirror += 1
        near = ZERO
        far = INF
        mask = SEE_MIRROR
        if not going_on and not meets_light(scene, row, p, d, mask):
            break
        if log != NO_LOG:
            log_event(log, depth, EVENT_BSDF, g, index, material_id, MIRROR, ZERO, o, d, throughput, BLACK, INF)
    return total, alpha_out
