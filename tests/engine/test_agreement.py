"""Two ways to the same light, lamps as lights and as glowing geometry, in any material; and no sample is bad."""

from __future__ import annotations

import numpy as np
import pytest
from small_scenes import SmallScene, all_units, go, mean_and_error, translate, turn_x

SEEDS = 10
ROOMS = {
    "matte": {"show_specular": False, "albedo": (0.7, 0.5, 0.3)},
    "plastic": {"albedo": (0.5, 0.4, 0.3), "roughness": 0.4},
    "rough metal": {"metallic": 1.0, "specular": 1.0, "roughness": 0.6, "metallic_color": (0.8, 0.6, 0.3)},
    "half metal": {"metallic": 0.5, "specular": 0.8, "roughness": 0.5, "albedo": (0.2, 0.5, 0.3)},
    "lacquer": {"albedo": (0.5, 0.4, 0.3), "roughness": 0.0},
}


def room(material: dict[str, object], lamp_is_light: bool, **variables: object) -> SmallScene:
    """A box, seen from inside, with a square lamp under its ceiling: black from above."""
    small = SmallScene(
        eye=(0.0, 0.0, 0.9),
        focal=14.0,
        **{
            "image_width": 8,
            "image_height": 8,
            "max_depth": 5,
            "max_diffuse_depth": 5,
            "max_glossy_depth": 5,
            "max_mirror_depth": 5,
            "lights_visible_in_camera": True,
            **variables,
        },
    )
    down = turn_x(-90.0)
    if lamp_is_light:
        small.light("RectLight", width=1.0, height=1.0, intensity=2.0, node_xform=down @ translate(0.0, 0.9, 0.0))
    black = small.matte("black", 0.0)
    glow = small.make("DwaEmissiveMaterial", "glow", emission=(2.0, 2.0, 2.0))
    small.put(
        small.make("BoxGeometry", "box", size=(2.0, 2.0, 2.0)), small.make("DwaBaseMaterial", "walls", **material)
    )
    corners = [(-0.5, 0.0, -0.5), (0.5, 0.0, -0.5), (0.5, 0.0, 0.5), (-0.5, 0.0, 0.5)]
    small.put(small.quad("lid", corners, node_xform=translate(0.0, 0.902, 0.0)), black)
    lamp = small.quad("lamp", corners, node_xform=translate(0.0, 0.9005, 0.0))
    small.put(lamp, black if lamp_is_light else glow)
    return small


@pytest.mark.parametrize("name", ROOMS)
def test_a_lamp_as_light_and_as_glowing_geometry(name: str) -> None:
    """MIS on every bounce against BSDF samples alone. Geometry is met one bounce later than a light."""
    by_light, error_a = mean_and_error(room(ROOMS[name], True).renders(96, SEEDS))
    by_glow, error_b = mean_and_error(room(ROOMS[name], False, max_depth=6, max_diffuse_depth=6, max_glossy_depth=6,
                                           max_mirror_depth=6).renders(384, SEEDS))  # fmt: skip
    assert (error_a < 0.01 * by_light).all()
    assert (error_b < 0.02 * by_glow).all()
    assert (np.abs(by_light - by_glow) < 5.0 * np.hypot(error_a, error_b) + 0.004 * by_light).all(), (by_light, by_glow)


@pytest.mark.parametrize("name", ROOMS)
@pytest.mark.parametrize(("light_samples", "bsdf_samples"), [(3, 1), (1, 3)])
def test_splitting_changes_no_mean(name: str, light_samples: int, bsdf_samples: int) -> None:
    plain, error_a = mean_and_error(room(ROOMS[name], True).renders(64, SEEDS))
    split = room(ROOMS[name], True, light_samples=light_samples, bsdf_samples=bsdf_samples)
    other, error_b = mean_and_error(split.renders(32, SEEDS))
    assert (np.abs(plain - other) < 5.0 * np.hypot(error_a, error_b)).all(), (plain, other)


def random_scene(seed: int) -> SmallScene:
    """Anything: colours with zeros and ones, extreme roughness, tiny and huge lights, odd transforms."""
    rng = np.random.default_rng(seed)

    def pick(*values: float) -> float:
        return float(rng.choice(values))

    def color() -> tuple[float, ...]:
        return tuple(rng.choice([0.0, 0.2, 0.999, 1.0], 3).tolist())

    small = SmallScene(eye=(0.0, 0.0, 8.0), light_samples=2, bsdf_samples=2, max_mirror_depth=5)
    for i in range(3):
        at = turn_x(float(rng.uniform(0.0, 360.0))) @ translate(*rng.normal(0.0, pick(1.0, 3.0), 3))
        kind = rng.choice(["RectLight", "SphereLight", "EnvLight"])
        shape = {
            "RectLight": {
                "width": pick(1e-4, 1.0, 1e3),
                "height": pick(1e-4, 1.0, 1e3),
                "sidedness": int(pick(0, 1, 2)),
            },
            "SphereLight": {"radius": pick(1e-5, 0.1, 3.0, 1e4), "sidedness": int(pick(0, 1))},
            "EnvLight": {},
        }[kind]
        small.light(kind, f"light {i}", node_xform=at, color=color(), intensity=pick(1e-6, 1.0, 1e6), **shape)
    for i in range(6):
        material = small.make(
            "DwaBaseMaterial",
            f"material {i}",
            albedo=color(),
            specular=pick(0.0, 0.5, 1.0),
            roughness=pick(0.0, 1e-3, 0.03, 0.5, 1.0),
            metallic=pick(0.0, 0.5, 1.0),
            metallic_color=color(),
            metallic_edge_color=color(),
            refractive_index=pick(1e-3, 1.0, 1.5, 50.0),
            show_emission=bool(rng.integers(2)),
            emission=color(),
        )
        matrix = np.diag([*rng.choice([-1.0, 1e-3, 0.5, 2.0], 3), 1.0]) @ turn_x(float(rng.uniform(0, 360)))
        matrix = matrix @ translate(*rng.normal(0.0, 1.5, 3))
        if rng.integers(2):
            clip = {"zmin": pick(-1.0, -0.3), "zmax": pick(1.0, 0.2), "phi_max": pick(360.0, 100.0)}
            body = small.sphere(f"body {i}", 1.0, node_xform=matrix, **clip)
        else:
            body = small.make("BoxGeometry", f"body {i}", node_xform=matrix, size=(2.0, 1.0, pick(0.0, 1.0)))
        small.put(body, material)
    small.put(small.wall("back", 10.0, z=-3.0, normal_list=rng.normal(size=(4, 3))), small.context["material 0"])
    return small


@pytest.mark.parametrize("seed", range(25))
def test_no_sample_of_any_scene_is_bad(seed: int) -> None:
    engine = random_scene(seed).engine()
    _, sums, samples, bad, first = engine.render(all_units(16, 16, 0, 16), go())
    assert bad == 0, first
    assert samples == 16 * 16 * 16
    assert (sums >= 0.0).all()


@pytest.mark.parametrize("name", ROOMS)
def test_no_body_shines_brighter_than_the_sky_around_it(name: str) -> None:
    """A furnace for layered materials: albedo, metal and edge white."""
    white = {k: (1.0, 1.0, 1.0) if "color" in k or k == "albedo" else v for k, v in ROOMS[name].items()}
    small = SmallScene(max_depth=8, max_diffuse_depth=8, max_glossy_depth=8, lights_visible_in_camera=True)
    small.light("EnvLight")
    small.put(small.sphere("ball", 1.5), small.make("DwaBaseMaterial", "white", **white))
    pictures = small.renders(64, SEEDS)
    mean = pictures.mean(axis=0)
    body = mean[..., 3] == 1.0
    assert mean[body][:, :3].max() <= 1.05
    assert mean[body][:, :3].min() >= 0.5
