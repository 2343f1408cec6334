"""Samples that are not finite are left out, counted and located, and their pixel's story shows where they come from."""

from __future__ import annotations

import numpy as np
import pytest
from small_scenes import SmallScene, all_units, go

from arras_ray.engine import Engine
from arras_ray.messages import BadSample

SIZE = 72
"""More than one tile."""


def broken(value: float, threads: int = 1, **variables: object) -> Engine:
    """A wall of quads, one a pixel, that glow in an attribute at uniform rate; the quad at (69, 66) is broken."""
    small = SmallScene(
        eye=(0.0, 0.0, 1000.0),
        focal=24.0 * 1000.0 / SIZE,
        **{"image_width": SIZE, "image_height": SIZE, "max_depth": 0, **variables},
    )
    x, y = np.meshgrid(np.arange(SIZE + 1), np.arange(SIZE + 1))
    points = np.stack([x.ravel() - SIZE / 2, y.ravel() - SIZE / 2, np.zeros(x.size)], axis=1)
    corner = (np.arange(SIZE)[:, None] * (SIZE + 1) + np.arange(SIZE)).ravel()
    faces = np.stack([corner, corner + 1, corner + SIZE + 2, corner + SIZE + 1], axis=1)
    glow = np.full((SIZE * SIZE, 3), 0.5)
    glow[66 * SIZE + 69] = value
    data = small.make("UserData", "data", color_key="tint", color_values_0=glow, rate=3)
    wall = small.make(
        "RdlMeshGeometry",
        "wall",
        is_subd=False,
        vertex_list_0=points,
        face_vertex_count=[4] * len(faces),
        vertices_by_index=faces.ravel(),
        primitive_attributes=[data],
        smooth_normal=False,
    )
    material = small.matte("glow", 0.0, show_emission=True)
    material.bind("emission", small.make("AttributeMap", "tints", primitive_attribute_name="tint"))
    small.put(wall, material)
    return small.engine(threads)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_broken_pixel(value: float, threads: int) -> None:
    engine = broken(value, threads)
    _, sums, samples, bad, first = engine.render(all_units(SIZE, SIZE, 3, 7), go())
    assert samples == SIZE * SIZE * 4
    assert bad == 4
    assert first == BadSample(69, 66, 3)
    assert np.isfinite(sums).all()
    counts = sums[..., 4].ravel()
    assert sorted(set(counts.tolist())) == [0.0, 4.0]
    assert (counts == 4.0).sum() == SIZE * SIZE - 1
    broken_pixel = sums[3, 2 * 64 + 5]
    assert not broken_pixel.any(), "nothing of a bad sample is kept"
    lit = sums[..., 4] > 0
    assert sums[lit][:, :3] == pytest.approx(2.0)


def test_the_story_of_a_bad_sample() -> None:
    engine = broken(np.inf)
    story = engine.trace_pixel(69, 66, 3)
    emission = next(entry for entry in story if entry["event"] == "emission")
    assert emission["object"] == "wall"
    assert emission["material"] == "glow"
    assert not np.isfinite(emission["radiance"]).any()
    assert story[-1]["event"] == "sample"
    assert story[-1]["left_out"]


def test_a_pixel_beside_it_is_fine() -> None:
    story = broken(np.inf).trace_pixel(68, 66, 3)
    assert [entry["event"] for entry in story] == ["hit", "emission", "sample"]
    assert story[-1]["radiance"] == pytest.approx([0.5, 0.5, 0.5])
    assert story[-1]["alpha"] == 1.0
    assert "left_out" not in story[-1]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_bad_sample_is_the_same_on_any_number_of_threads(threads: int) -> None:
    """Bad samples everywhere."""
    small = SmallScene(image_width=SIZE, image_height=SIZE, max_depth=0)
    material = small.matte("glow", 0.0, show_emission=True)
    material.bind("emission", small.make("AttributeMap", "tints", primitive_attribute_name="tint"))
    data = small.make("UserData", "data", color_key="tint", color_values_0=[(np.inf,) * 3])
    small.put(small.wall(primitive_attributes=[data]), material)
    _, sums, _, bad, first = small.engine(threads).render(all_units(SIZE, SIZE, 0, 2), go())
    assert bad == SIZE * SIZE * 2
    assert first == BadSample(0, 0, 0)
    assert not sums.any()


def test_light_that_bounces_off_a_broken_surface_is_counted_too() -> None:
    """A wall lit by a wall of infinite emission behind the camera."""
    small = SmallScene(max_depth=2)
    small.put(small.wall(half=4.0), small.matte("grey", 0.5))
    material = small.matte("glow", 0.0, show_emission=True)
    material.bind("emission", small.make("AttributeMap", "tints", primitive_attribute_name="tint"))
    data = small.make("UserData", "data", color_key="tint", color_values_0=[(np.inf,) * 3])
    small.put(small.wall("behind", z=20.0, primitive_attributes=[data]), material)
    _, sums, samples, bad, _ = small.engine().render(all_units(16, 16, 0, 4), go())
    assert 0.5 * samples < bad <= samples
    assert sums[..., 4].sum() == samples - bad
    assert np.isfinite(sums).all()


def test_a_shading_normal_across_the_ray_is_no_bad_sample() -> None:
    """Normals along the surface, seen exactly head-on: the geometric normal takes over."""
    small = SmallScene(image_width=1, image_height=1, pixel_filter_width=0.0, max_depth=1)
    small.light("EnvLight")
    normals = np.tile([(1.0, 0.0, 0.0)], (4, 1))
    metal = small.make("DwaBaseMaterial", "metal", roughness=0.4, metallic=0.5, metallic_color=(1.0, 0.0, 0.0))
    small.put(small.wall(normal_list=normals), metal)
    _, sums, _, bad, _ = small.engine().render(all_units(1, 1, 0, 64), go())
    assert bad == 0
    assert sums[0, 0, 0] > 0.0
