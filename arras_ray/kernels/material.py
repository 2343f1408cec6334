"""A material at a hit: each value times its map, clamped as MoonRay clamps it, made into a closure and emission."""

from __future__ import annotations

from arras_ray.kernels.bsdf import make_closure
from arras_ray.kernels.config import BLACK, ONE, ZERO, inlined, kernel
from arras_ray.kernels.layout import NONE
from arras_ray.kernels.parcels import materials_of
from arras_ray.kernels.texture import eval_map, mean
from arras_ray.kernels.vec import max_component, mul


@kernel
def clamp01(x):
    return min(max(x, ZERO), ONE)


@kernel
def clamp_color(c):
    return (clamp01(c[0]), clamp01(c[1]), clamp01(c[2]))


@kernel
def bound_color(scene, value, map_id, g, index, row, u, v, p, ng, ns):
    c = (value[0], value[1], value[2])
    if map_id != NONE and max_component(c) > ZERO:
        c = mul(c, eval_map(scene, map_id, g, index, row, u, v, p, ng, ns))
    return c


@kernel
def bound_float(scene, value, map_id, g, index, row, u, v, p, ng, ns):
    x = value
    if map_id != NONE and x != ZERO:
        x = x * mean(eval_map(scene, map_id, g, index, row, u, v, p, ng, ns))
    return x


@kernel
def layered_closure(scene, material_id, g, index, row, u, v, p, ng, ns, cos_o):
    """The closure and emission of a material at a hit: each value times its map, clamped as MoonRay clamps it."""
    m = materials_of(scene)[material_id]
    albedo = clamp_color(bound_color(scene, m.albedo, m.albedo_map, g, index, row, u, v, p, ng, ns))
    emission = bound_color(scene, m.emission, m.emission_map, g, index, row, u, v, p, ng, ns)
    specular = clamp01(bound_float(scene, m.specular, m.specular_map, g, index, row, u, v, p, ng, ns))
    if specular <= ZERO:
        return (albedo, ZERO, ZERO, ZERO, ONE, BLACK, BLACK), emission
    roughness = clamp01(bound_float(scene, m.roughness, m.roughness_map, g, index, row, u, v, p, ng, ns))
    metallic = clamp01(bound_float(scene, m.metallic, m.metallic_map, g, index, row, u, v, p, ng, ns))
    metal = BLACK
    edge = BLACK
    if metallic > ZERO:
        metal = clamp_color(bound_color(scene, m.metallic_color, m.metallic_color_map, g, index, row, u, v, p, ng, ns))
        edge = clamp_color(
            bound_color(scene, m.metallic_edge_color, m.metallic_edge_color_map, g, index, row, u, v, p, ng, ns)
        )
    return make_closure(albedo, specular, roughness, metallic, metal, edge, m.ior, cos_o), emission


@inlined
def closure_at(scene, material_id, g, index, row, u, v, p, ng, ns, cos_o):
    """As `layered_closure`; the commonest material, plain Lambert without maps, is made on the spot."""
    m = materials_of(scene)[material_id]
    if m.specular <= ZERO and m.albedo_map == NONE and m.emission_map == NONE:
        closure = ((m.albedo[0], m.albedo[1], m.albedo[2]), ZERO, ZERO, ZERO, ONE, BLACK, BLACK)
        emission = (m.emission[0], m.emission[1], m.emission[2])
    else:
        closure, emission = layered_closure(scene, material_id, g, index, row, u, v, p, ng, ns, cos_o)
    return closure, emission
