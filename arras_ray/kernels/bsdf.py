"""Scattering at a surface: a Lambert lobe under one GGX lobe whose Fresnel blends a dielectric and a conductor.

Directions are local to the shading frame, z along the normal, both away from the surface; wo.z > 0. A `closure` is

    (kd, wm, ws, alpha, ior, metal, edge)

kd: (3,) diffuse albedo left by the layer above; wm, ws: weights of conductor and dielectric reflection; alpha: GGX
width, roughness squared, 0 for a mirror; ior: of the dielectric; metal, edge: (3,) reflectivity and edge tint.
Sampling takes the diffuse lobe with probability qd and the specular one with 1 - qd.
"""

from __future__ import annotations

import numpy as np

from arras_ray.kernels.config import BLACK, FOUR, INV_PI, ONE, PI, TWO, ZERO, inlined, kernel
from arras_ray.kernels.vec import add, dot, lerp, luminance, max_component, normalize, reflect, root, scale
from arras_ray.kernels.warp import sample_cosine, sample_visible_normal

DIFFUSE, GLOSSY, MIRROR = 0, 1, 2
"""What a lobe is: depths are counted and geometry is seen by kind."""

MIRROR_ROUGHNESS = np.float32(1e-3)
MIN_ALPHA = np.float32(1e-3)
NEARLY_ONE = np.float32(0.999)
GRAZING = np.float32(1e-6)
"""Cosine below which a conductor of index 1 (reflectivity 0) would be 0 / 0."""


@kernel
def dielectric_fresnel(cos, ior):
    """Reflectance of a smooth dielectric of relative index `ior`, unpolarised, cos of the incident angle in [0, 1]."""
    sin2 = (ONE - cos * cos) / (ior * ior)
    if sin2 >= ONE:
        return ONE
    cos_t = root(ONE - sin2)
    parallel = (ior * cos - cos_t) / (ior * cos + cos_t)
    perpendicular = (cos - ior * cos_t) / (cos + ior * cos_t)
    return (parallel * parallel + perpendicular * perpendicular) * np.float32(0.5)


@kernel
def conductor_fresnel(cos, reflectivity, edge):
    """Reflectance of a conductor given by its reflectivity at normal incidence and its edge tint (Gulbrandsen 2014)."""
    r = min(max(reflectivity, ZERO), NEARLY_ONE)
    g = min(max(edge, ZERO), NEARLY_ONE)
    sr = root(r)
    n = g * (ONE - r) / (ONE + r) + (ONE - g) * (ONE + sr) / (ONE - sr)
    k2 = max(ZERO, (r * (n + ONE) * (n + ONE) - (n - ONE) * (n - ONE)) / (ONE - r))
    cos = max(cos, GRAZING)
    c2 = cos * cos
    s2 = ONE - c2
    t0 = n * n - k2 - s2
    a2b2 = root(max(ZERO, t0 * t0 + FOUR * n * n * k2))
    a = root(max(ZERO, (a2b2 + t0) * np.float32(0.5)))
    rs = (a2b2 + c2 - TWO * a * cos) / (a2b2 + c2 + TWO * a * cos)
    x = a2b2 * c2 + s2 * s2
    y = TWO * a * cos * s2
    rp = rs * (x - y) / (x + y)
    return max(ZERO, (rs + rp) * np.float32(0.5))  # rounding, where nothing is reflected


@kernel
def specular_fresnel(cos, wm, ws, ior, metal, edge):
    """Reflectance of the specular lobe: weighted conductor and dielectric, (3,)."""
    f = ZERO
    if ws > ZERO:
        f = ws * dielectric_fresnel(cos, ior)
    if wm > ZERO:
        return (
            f + wm * conductor_fresnel(cos, metal[0], edge[0]),
            f + wm * conductor_fresnel(cos, metal[1], edge[1]),
            f + wm * conductor_fresnel(cos, metal[2], edge[2]),
        )
    return (f, f, f)


@kernel
def make_closure(albedo, specular, roughness, metallic, metal, edge, ior, cos_o):
    """The closure of a Dwa material's parameters, all in [0, 1], seen at cosine cos_o.

    Top to bottom: conductor of weight specular * metallic, dielectric of weight specular, diffuse. What a rough
    dielectric lets through is a blend of the smooth interface's at this angle and at normal incidence.
    """
    wm = specular * metallic
    ws = (ONE - wm) * specular
    alpha = ZERO if roughness < MIRROR_ROUGHNESS else max(roughness * roughness, MIN_ALPHA)
    through = ONE - wm
    if ws > ZERO:
        smooth = ONE - dielectric_fresnel(cos_o, ior)
        facing = ONE - dielectric_fresnel(ONE, ior)
        gloss = ONE - roughness * roughness
        passed = lerp(smooth, facing, ONE - gloss * gloss * gloss)
        through *= ONE - specular * (ONE - passed)
    return scale(albedo, through), wm, ws, alpha, ior, metal, edge


@kernel
def ggx_lambda(alpha2, z):
    """Smith's Lambda of a direction with cosine z."""
    z2 = z * z
    tan2 = max(ZERO, ONE - z2) / z2
    return np.float32(0.5) * (root(ONE + alpha2 * tan2) - ONE)


@kernel
def ggx_density(alpha2, hz):
    """D of a microfacet normal with cosine hz."""
    d = hz * hz * (alpha2 - ONE) + ONE
    return alpha2 / (PI * d * d)


@kernel
def eval_glossy(wo, wi, wm, ws, alpha, ior, metal, edge):
    """The GGX lobe alone: f(wo, wi) cos(wi), (3,), and the density of sampling wi from it; wi.z > 0."""
    h = normalize(add(wo, wi))
    cos_h = dot(wo, h)
    if cos_h <= ZERO:
        return BLACK, ZERO
    alpha2 = alpha * alpha
    lambda_o = ggx_lambda(alpha2, wo[2])
    lambda_i = ggx_lambda(alpha2, wi[2])
    common = ggx_density(alpha2, h[2]) / (FOUR * wo[2])
    fresnel = specular_fresnel(min(cos_h, ONE), wm, ws, ior, metal, edge)
    return scale(fresnel, common / (ONE + lambda_o + lambda_i)), common / (ONE + lambda_o)


@inlined
def eval_bsdf(wo, wi, kd, wm, ws, alpha, ior, metal, edge, qd):
    """f(wo, wi) cos(wi), (3,), and the solid-angle density of sampling wi, without a mirror lobe."""
    lambert = max(ZERO, wi[2]) * INV_PI
    f = scale(kd, lambert)
    pdf = qd * lambert
    if alpha > ZERO and wm + ws > ZERO and wi[2] > ZERO:
        glossy, glossy_pdf = eval_glossy(wo, wi, wm, ws, alpha, ior, metal, edge)
        f = add(f, glossy)
        pdf += (ONE - qd) * glossy_pdf
    return f, pdf


@kernel
def sample_diffuse(u0, u1):
    return sample_cosine(u0, u1)


@kernel
def sample_glossy(wo, alpha, u0, u1):
    """A direction of the GGX lobe; below the surface (z <= 0) where the microfacet points it there."""
    h = sample_visible_normal(wo, alpha, u0, u1)
    return reflect(wo, h)


@inlined
def diffuse_share(kd, wm, ws, alpha, ior, metal, edge, cos_o):
    """Probability of the diffuse lobe where one lobe has to be chosen: its share of what is reflected."""
    share = ONE
    if wm + ws > ZERO:
        share = ZERO
        if max_component(kd) > ZERO:
            d = luminance(kd)
            s = luminance(specular_fresnel(cos_o, wm, ws, ior, metal, edge))
            share = min(np.float32(0.95), max(np.float32(0.05), d / (d + s)))
    return share
