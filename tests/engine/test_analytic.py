"""Scenes whose pictures are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_scenes import SmallScene, assert_mean, scaling, translate, turn_x

from arras_ray.flatten import flatten

DEEP = {"max_depth": 60, "max_diffuse_depth": 60, "max_glossy_depth": 60, "max_mirror_depth": 60}
SEEDS = 8


@pytest.mark.parametrize("shape", ["sphere", "box"])
@pytest.mark.parametrize("samples", [1, 2])
def test_white_furnace(shape: str, samples: int) -> None:
    """Albedo 1 under a sky of radiance 1 cannot be told from the sky, at any pixel."""
    small = SmallScene(**DEEP, light_samples=samples, bsdf_samples=samples, lights_visible_in_camera=True)
    small.light("EnvLight")
    body = (
        small.sphere("body", 1.5)
        if shape == "sphere"
        else small.make("BoxGeometry", "body", size=(2.0, 2.0, 2.0), node_xform=turn_x(35.0))
    )
    small.put(body, small.matte("white", 1.0))
    pictures = small.renders(16, SEEDS)
    assert_mean(pictures, 1.0)
    # convex and lit by its own cosine: each sample is exactly 1
    assert np.abs(pictures[..., :3] - 1.0).max() < 1e-5
    assert 0.1 < pictures[..., 3].mean() < 0.9


def test_white_furnace_of_a_concave_body() -> None:
    """Light bounces between two walls of albedo 1 and comes back whole."""
    small = SmallScene(**DEEP)
    small.light("EnvLight")
    white = small.matte("white", 1.0)
    small.put(small.wall("back", 3.0), white)
    small.put(small.wall("side", 3.0, node_xform=turn_x(90.0) @ translate(0.0, -1.0, 0.0)), white)
    pictures = small.renders(64, SEEDS)
    mean = pictures.mean(axis=0)
    seen = mean[..., 3] == 1.0
    assert seen.any()
    error = pictures[..., 0].std(axis=0, ddof=1) / math.sqrt(SEEDS)
    z = (mean[..., 0] - 1.0)[seen] / np.maximum(error[seen], 1e-7)
    assert np.abs(z).max() < 9.0, "Student's t of 7 degrees over 256 pixels"
    assert mean[..., 0][seen].mean() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("threshold", [0.0, 0.3])
@pytest.mark.parametrize("albedo", [0.5, (0.8, 0.5, 0.1)])
def test_closed_sphere_that_glows(albedo: object, threshold: float) -> None:
    """From inside: emission / (1 - albedo), with or without roulette."""
    small = SmallScene(
        eye=(0.3, -0.2, 0.1), **{**DEEP, "russian_roulette_threshold": threshold, "image_width": 8, "image_height": 8}
    )
    emission = (0.5, 0.25, 0.125)
    material = small.matte("glow", albedo, show_emission=True, emission=emission)
    small.put(small.sphere("room", 2.0), material)
    rho = np.broadcast_to(np.array(albedo, "f4"), 3).astype("f8")
    assert_mean(small.renders(64, SEEDS), np.array(emission) / (1.0 - rho))


def test_closed_box_that_glows() -> None:
    """The same inside a mesh."""
    small = SmallScene(eye=(0.1, 0.2, 0.3), **{**DEEP, "image_width": 8, "image_height": 8})
    material = small.matte("glow", 0.5, show_emission=True, emission=(0.5, 0.5, 0.5))
    small.put(small.make("BoxGeometry", "room", size=(2.0, 3.0, 4.0)), material)
    assert_mean(small.renders(64, SEEDS), 1.0)


def test_closed_sphere_of_white_metal_keeps_its_light() -> None:
    """Mirrors all around that glow a little: reflectivity 0.5 gives 2 x emission."""
    small = SmallScene(eye=(0.3, -0.2, 0.1), **DEEP)
    material = small.make(
        "DwaBaseMaterial",
        "mirror",
        metallic=1.0,
        specular=1.0,
        roughness=0.0,
        metallic_color=(0.5, 0.5, 0.5),
        metallic_edge_color=(0.0, 0.0, 0.0),
        show_emission=True,
        emission=(1.0, 1.0, 1.0),
    )
    small.put(small.sphere("room", 2.0), material)
    # rays through the centre meet the wall head-on for ever
    small.camera.set("node_xform", np.eye(4))
    pictures = small.renders(1, 2)
    assert pictures[..., :3] == pytest.approx(2.0, rel=1e-3)


def lambert_under_rect(albedo: float, radiance: float, half: float, height: float) -> float:
    """Radiance at the point of a plane below the centre of a square of edge 2 half, `height` above: by the view factor
    from a differential area to four parallel rectangles with a corner over it."""
    a = half / height
    s = math.sqrt(1.0 + a * a)
    quarter = (a / s * math.atan(a / s)) / math.pi
    return albedo * radiance * 4.0 * quarter


def spot(**variables: object) -> SmallScene:
    """A camera that looks at the origin of a wall through one narrow pixel."""
    return SmallScene(eye=(0.0, 0.0, 10.0), focal=1e5, image_width=2, image_height=2, max_depth=1, **variables)


SAMPLES = [(1, 1), (1, 3), (3, 1), (2, 2)]


@pytest.mark.parametrize(("light_samples", "bsdf_samples"), SAMPLES)
@pytest.mark.parametrize("size", [0.2, 4.0])
def test_rect_light_on_a_wall(light_samples: int, bsdf_samples: int, size: float) -> None:
    small = spot(light_samples=light_samples, bsdf_samples=bsdf_samples)
    # emits along -z, towards the wall, from z = 1
    small.light("RectLight", width=size, height=size, intensity=3.0, node_xform=translate(0.0, 0.0, 1.0))
    small.put(small.wall(), small.matte("grey", 0.6))
    assert_mean(small.renders(1024, SEEDS), lambert_under_rect(0.6, 3.0, size / 2.0, 1.0))


@pytest.mark.parametrize(("light_samples", "bsdf_samples"), SAMPLES)
@pytest.mark.parametrize("tilt", [0.0, 60.0])
def test_sphere_light_on_a_wall(light_samples: int, bsdf_samples: int, tilt: float) -> None:
    """E = pi L sin^2(half angle) cos(tilt), as long as the whole sphere is above the plane."""
    small = spot(light_samples=light_samples, bsdf_samples=bsdf_samples)
    distance, radius = 2.0, 0.6
    a = math.radians(tilt)
    at = translate(distance * math.sin(a), 0.0, distance * math.cos(a))
    small.light("SphereLight", radius=radius, intensity=2.0, node_xform=at)
    small.put(small.wall(), small.matte("grey", 0.6))
    expected = 0.6 * 2.0 * (radius / distance) ** 2 * math.cos(a)
    assert_mean(small.renders(1024, SEEDS), expected)


def test_sphere_light_cut_by_the_horizon() -> None:
    """Half of it is below the wall's plane: the projected solid angle of the rest, by brute force."""
    small = spot()
    distance, radius = 2.0, 1.2
    small.light("SphereLight", radius=radius, node_xform=translate(distance, 0.0, 0.0))
    small.put(small.wall(), small.matte("grey", 1.0))
    rng = np.random.default_rng(1)
    w = rng.normal(size=(2_000_000, 3))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    lit = (w[:, 0] > math.sqrt(1.0 - (radius / distance) ** 2)) & (w[:, 2] > 0.0)
    expected = 4.0 * float((w[:, 2] * lit).mean())
    mean = small.renders(1024, SEEDS)[..., :3].mean()
    assert mean == pytest.approx(expected, rel=0.01)


def test_inside_a_sphere_light_lit_inwards() -> None:
    """Radiance L from everywhere: an open surface of albedo a reflects a L."""
    small = spot()
    small.light("SphereLight", radius=20.0, sidedness=1, intensity=2.0, node_xform=translate(1.0, 2.0, 3.0))
    small.put(small.wall(half=1.0), small.matte("grey", 0.6))
    assert_mean(small.renders(256, SEEDS), 1.2)


def test_light_sampling_and_bsdf_sampling_alone_agree_with_both() -> None:
    """Rough plastic under a rectangle: neither technique alone, weighted heavily, changes the mean."""
    means = []
    for light_samples, bsdf_samples in ((1, 6), (6, 1), (2, 2)):
        small = spot(light_samples=light_samples, bsdf_samples=bsdf_samples)
        small.light("RectLight", width=1.0, height=1.0, node_xform=translate(0.0, 0.5, 1.5))
        small.put(small.wall(), small.make("DwaBaseMaterial", "plastic", albedo=(0.3, 0.3, 0.3), roughness=0.4))
        pictures = small.renders(256, SEEDS)[..., 0].mean(axis=(1, 2)).astype("f8")
        means.append((pictures.mean(), pictures.std(ddof=1) / math.sqrt(SEEDS)))
    for a, error_a in means:
        assert error_a < 0.02 * a
        for b, error_b in means:
            assert abs(a - b) <= 5.0 * math.hypot(error_a, error_b)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("scene_scale", [0.01, 0.1])
def test_normalized_lights(normalized: bool, scene_scale: float) -> None:
    """normalized: radiance / area, and / (pi scene_scale^2) with apply_scene_scale."""
    small = spot(scene_scale=scene_scale)
    small.light(
        "RectLight",
        width=0.2,
        height=0.4,
        normalized=normalized,
        apply_scene_scale=True,
        intensity=0.5,
        exposure=1.0,
        node_xform=translate(0.0, 0.0, 2.0),
    )
    small.put(small.wall(), small.matte("grey", 1.0))
    radiance = float(flatten(small.context).scene.lights["radiance"][0, 0])
    assert radiance == pytest.approx(1.0 / 0.08 / (math.pi * scene_scale**2) if normalized else 1.0)


def mirror(small: SmallScene, color: tuple[float, float, float] = (0.8, 0.6, 0.4)):
    return small.make(
        "DwaBaseMaterial",
        "mirror",
        metallic=1.0,
        specular=1.0,
        roughness=0.0,
        metallic_color=color,
        metallic_edge_color=color,
    )


@pytest.mark.parametrize("kind", ["RectLight", "SphereLight", "EnvLight"])
@pytest.mark.parametrize("depth", [5, 0])
def test_a_mirror_reflects_lights(kind: str, depth: int) -> None:
    """Head-on: reflectivity times radiance, at any depth, though lights are hidden from the camera itself."""
    small = spot(max_mirror_depth=depth)
    shape = {
        "RectLight": {"node_xform": translate(0.0, 0.0, 20.0)},
        "SphereLight": {"node_xform": translate(0.0, 0.0, 20.0)},
        "EnvLight": {},
    }[kind]
    small.light(kind, intensity=2.0, **shape)
    small.put(small.wall(), mirror(small))
    picture = small.render(1)
    assert picture[..., :3] == pytest.approx(np.broadcast_to(np.array([1.6, 1.2, 0.8]), (2, 2, 3)), rel=1e-4)


def test_a_light_behind_the_mirror_is_not_reflected() -> None:
    small = spot()
    small.light("SphereLight", node_xform=translate(0.0, 0.0, -5.0))
    small.put(small.wall(), mirror(small))
    assert not small.render(1)[..., :3].any()


def test_a_smooth_dielectric_over_nothing() -> None:
    """Black below, roughness 0, under a sky: Fresnel's reflectance at normal incidence."""
    small = spot()
    small.light("EnvLight")
    small.put(small.wall(), small.make("DwaBaseMaterial", "glass", albedo=(0.0, 0.0, 0.0), roughness=0.0))
    assert small.render(1)[..., :3] == pytest.approx(0.04, rel=1e-4)


def test_a_scaled_light_keeps_its_radiance() -> None:
    small = spot()
    small.light("RectLight", width=1.0, height=1.0, node_xform=scaling(2.0, 2.0, 1.0) @ translate(0.0, 0.0, 1.0))
    small.put(small.wall(), small.matte("grey", 1.0))
    assert_mean(small.renders(1024, SEEDS), lambert_under_rect(1.0, 1.0, 1.0, 1.0))
