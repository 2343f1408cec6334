"""All records the kernels read, in one place. Arrays are read-only, C-contiguous; flatten makes them.

World space is MoonRay's: right-handed, row vectors, scene units. Matrices are (4, 3) row-major: three axis rows and
the translation row, so that p' = p.x * row0 + p.y * row1 + p.z * row2 + row3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NONE = -1
"""An index that points nowhere."""

# What a geometry is.
MESH, SPHERE = 0, 1

# Which rays see a geometry or light: bits of Embree's ray mask.
SEE_CAMERA, SEE_SHADOW, SEE_DIFFUSE, SEE_GLOSSY, SEE_MIRROR = 1, 2, 4, 8, 16

# At which rate a primitive attribute is given.
CONSTANT, PART, UNIFORM, VERTEX, FACE_VARYING = 0, 1, 2, 3, 4

# What a map reads.
MAP_ATTRIBUTE, MAP_ST, MAP_POSITION, MAP_SHADING_NORMAL, MAP_GEOMETRIC_NORMAL = 0, 1, 2, 3, 4

# What a light is.
RECT_LIGHT, SPHERE_LIGHT, ENV_LIGHT = 0, 1, 2

# Sidedness of an area light.
REGULAR, REVERSE, TWO_SIDED = 0, 1, 2

# Pixel filters.
BOX_FILTER, CUBIC_FILTER, QUADRATIC_FILTER = 0, 1, 2

SETTINGS = np.dtype(
    [
        ("width", "i4"),
        ("height", "i4"),
        ("filter", "i4"),
        ("filter_width", "f4"),
        ("light_samples", "i4"),
        ("bsdf_samples", "i4"),
        ("max_depth", "i4"),
        ("max_diffuse_depth", "i4"),
        ("max_glossy_depth", "i4"),
        ("max_mirror_depth", "i4"),
        ("clamp_value", "f4"),
        ("clamp_depth", "i4"),
        ("roulette_threshold", "f4"),
        ("seed", "u4"),
        ("grid", "f8"),
        ("limit", "f4"),
    ],
    align=True,
)
"""One record. light_samples and bsdf_samples are counts (n^2). grid: sums are multiples of 1 / grid, a power of two.
limit: the largest value one sample may add, which keeps sums of 2^16 samples exact."""

CAMERA = np.dtype(
    [("matrix", "f4", (4, 3)), ("half_width", "f4"), ("half_height", "f4"), ("x", "f4"), ("y", "f4"),
     ("near", "f4"), ("far", "f4")],
    align=True,
)  # fmt: skip
"""One record. half_width, half_height: half extents of the film window at distance 1; x, y: its centre."""

GEOMETRY = np.dtype(
    [
        ("kind", "i4"),
        ("mask", "u4"),
        ("first_triangle", "i4"),
        ("first_vertex", "i4"),
        ("normal_rate", "i4"),
        ("first_normal", "i4"),
        ("st_rate", "i4"),
        ("first_st", "i4"),
        ("first_attribute", "i4"),
        ("n_attributes", "i4"),
        ("assignment", "i4"),
        ("world", "f4", (4, 3)),
        ("object", "f4", (4, 3)),
        ("radius", "f4"),
        ("zmin", "f4"),
        ("zmax", "f4"),
        ("phi_max", "f4"),
        ("phi_cos", "f4"),
        ("phi_sin", "f4"),
        ("id", "u4"),
    ],
    align=True,
)
"""One record a geometry, in the order of Embree's geometry ids. Mesh vertices are in world space. Spheres are in
object space with world = world_from_object, object = object_from_world; phi_max in radians, full circle at 2 pi.
first_normal, first_st are NONE without data."""

TRIANGLE = np.dtype([("v", "u4", 3), ("corner", "u4", 3), ("face", "u4"), ("assignment", "i4")], align=True)
"""v: vertex numbers from the geometry's first_vertex (Embree reads them here too); corner: face-varying numbers."""

ATTRIBUTE = np.dtype([("key", "i4"), ("rate", "i4"), ("first", "i4")], align=True)
"""A primitive attribute of a geometry: which key, at which rate, where its values begin in `points`."""

ASSIGNMENT = np.dtype(
    [("material", "i4"), ("first_light", "i4"), ("n_lights", "i4"), ("part", "i4")],
    align=True,
)
"""A Layer row: its material and its run of `light_ids`."""

MATERIAL = np.dtype(
    [
        ("albedo", "f4", 3),
        ("albedo_map", "i4"),
        ("emission", "f4", 3),
        ("emission_map", "i4"),
        ("specular", "f4"),
        ("specular_map", "i4"),
        ("roughness", "f4"),
        ("roughness_map", "i4"),
        ("metallic", "f4"),
        ("metallic_map", "i4"),
        ("metallic_color", "f4", 3),
        ("metallic_color_map", "i4"),
        ("metallic_edge_color", "f4", 3),
        ("metallic_edge_color_map", "i4"),
        ("ior", "f4"),
    ],
    align=True,
)
"""Parameters in [0, 1] where MoonRay clamps them; a lobe that is off has weight 0. *_map: an index of `maps`."""

MAP = np.dtype([("kind", "i4"), ("key", "i4"), ("default", "f4", 3)], align=True)

LIGHT = np.dtype(
    [
        ("kind", "i4"),
        ("mask", "u4"),
        ("sidedness", "i4"),
        ("radius", "f4"),
        ("radiance", "f4", 3),
        ("area", "f4"),
        ("position", "f4", 3),
        ("normal", "f4", 3),
        ("u_axis", "f4", 3),
        ("v_axis", "f4", 3),
    ],
    align=True,
)
"""position: centre, world space. Rect: u_axis, v_axis are half edges, normal points the way it emits."""

PATH_VERTEX = np.dtype(
    [
        ("depth", "i4"),
        ("event", "i4"),
        ("geometry", "i4"),
        ("primitive", "i4"),
        ("material", "i4"),
        ("light", "i4"),
        ("t", "f4"),
        ("position", "f4", 3),
        ("normal", "f4", 3),
        ("throughput", "f4", 3),
        ("radiance", "f4", 3),
        ("pdf", "f4"),
    ],
    align=True,
)
"""One line of `debug-pixel`'s story. event: one of the EVENT_* numbers."""

EVENT_HIT, EVENT_MISS, EVENT_LIGHT, EVENT_LIGHT_SAMPLE, EVENT_EMISSION, EVENT_BSDF, EVENT_ROULETTE = range(7)


SCENE = np.dtype(
    [
        ("settings", SETTINGS),
        ("camera", CAMERA),
        ("bvh", "u8"),
        ("geometries", "u8"),
        ("n_geometries", "i8"),
        ("triangles", "u8"),
        ("n_triangles", "i8"),
        ("points", "u8"),
        ("n_points", "i8"),
        ("attributes", "u8"),
        ("n_attributes", "i8"),
        ("assignments", "u8"),
        ("n_assignments", "i8"),
        ("materials", "u8"),
        ("n_materials", "i8"),
        ("maps", "u8"),
        ("n_maps", "i8"),
        ("lights", "u8"),
        ("n_lights", "i8"),
        ("light_ids", "u8"),
        ("n_light_ids", "i8"),
        ("camera_lights", "u8"),
        ("n_camera_lights", "i8"),
    ],
    align=True,
)
"""A RenderScene as kernels get it: one record with the arrays' addresses and lengths, and Embree's scene. One pointer
is passed from function to function, where a dozen arrays would be copied and counted at every call."""


class RenderScene(NamedTuple):
    """What kernels render: read-only arrays of the records above.

    points: (n, 3) f4, all 3-vectors of geometry: vertices, normals, st (z = 0), attribute values; padded for Embree.
    light_ids: (n,) i4, the lights of each Layer row one after the other; camera_lights: those camera rays meet.
    """

    settings: np.ndarray
    camera: np.ndarray
    geometries: np.ndarray
    triangles: np.ndarray
    points: np.ndarray
    attributes: np.ndarray
    assignments: np.ndarray
    materials: np.ndarray
    maps: np.ndarray
    lights: np.ndarray
    light_ids: np.ndarray
    camera_lights: np.ndarray
