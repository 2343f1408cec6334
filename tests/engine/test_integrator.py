"""What scene variables and flags do to light: depths, clamping, roulette, visibility, light sets, emission."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_scenes import SmallScene, assert_mean, mean_and_error, translate, turn_x

SEEDS = 8


def spot(**variables: object) -> SmallScene:
    """A camera that looks straight at the origin of a wall through four narrow pixels."""
    return SmallScene(eye=(0.0, 0.0, 10.0), focal=1e5, image_width=2, image_height=2, **variables)


def glowing_room(albedo: float, **variables: object) -> SmallScene:
    """Inside a sphere of emission 1: each further bounce adds albedo^n."""
    small = SmallScene(eye=(0.3, 0.1, 0.2), image_width=8, image_height=8, **variables)
    small.put(small.sphere("room", 2.0), small.matte("glow", albedo, show_emission=True))
    return small


@pytest.mark.parametrize(
    ("max_depth", "max_diffuse_depth", "bounces"), [(0, 9, 0), (1, 9, 1), (2, 9, 2), (9, 2, 2), (9, 0, 0), (5, 3, 3)]
)
def test_depths_count_bounces(max_depth: int, max_diffuse_depth: int, bounces: int) -> None:
    small = glowing_room(0.5, max_depth=max_depth, max_diffuse_depth=max_diffuse_depth)
    assert_mean(small.renders(16, 3), sum(0.5**n for n in range(bounces + 1)))


@pytest.mark.parametrize(("max_mirror_depth", "bounces"), [(0, 0), (1, 1), (3, 3)])
def test_mirror_depth(max_mirror_depth: int, bounces: int) -> None:
    """Two mirrors face each other, one glows: each reflection shows it dimmer by the reflectivity."""
    small = spot(max_depth=20, max_mirror_depth=max_mirror_depth)
    fields = {
        "metallic": 1.0,
        "specular": 1.0,
        "roughness": 0.0,
        "metallic_color": (0.5,) * 3,
        "show_emission": True,
    }
    # the second wall is behind the camera
    small.put(small.wall("front"), small.make("DwaBaseMaterial", "front mirror", **fields))
    small.put(small.wall("behind", z=20.0), small.make("DwaBaseMaterial", "rear mirror", **fields))
    assert small.render(1)[..., :3] == pytest.approx(sum(0.5**n for n in range(bounces + 1)), rel=1e-4)


def test_glossy_depth_stops_glossy_bounces() -> None:
    results = []
    for depth in (0, 1):
        small = SmallScene(eye=(0.3, 0.1, 0.2), image_width=8, image_height=8, max_glossy_depth=depth, max_depth=9)
        metal = small.make("DwaBaseMaterial", "metal", metallic=1.0, specular=1.0, roughness=0.5, show_emission=True)
        small.put(small.sphere("room", 2.0), metal)
        results.append(small.renders(16, 3)[..., :3].mean())
    assert results[0] == pytest.approx(1.0, abs=1e-6)
    assert 1.7 < results[1] < 2.0


@pytest.mark.parametrize("threshold", [0.2, 1.0])
def test_roulette_changes_no_mean(threshold: float) -> None:
    """Coloured walls: survival by the strongest channel, the same mean in all three."""
    means = []
    for roulette in (0.0, threshold):
        small = SmallScene(
            eye=(0.3, 0.1, 0.2),
            image_width=8,
            image_height=8,
            max_depth=30,
            max_diffuse_depth=30,
            russian_roulette_threshold=roulette,
        )
        small.put(small.sphere("room", 2.0), small.matte("glow", (0.7, 0.3, 0.05), show_emission=True))
        means.append(mean_and_error(small.renders(128, SEEDS)))
    (a, error_a), (b, error_b) = means
    assert (np.abs(a - b) <= 5.0 * np.hypot(error_a, error_b) + 1e-5).all(), means
    assert_mean_of_room = 1.0 / (1.0 - np.array([0.7, 0.3, 0.05]))
    assert a == pytest.approx(assert_mean_of_room, rel=0.02)


def firefly_scene(**variables: object) -> SmallScene:
    """A wall lit only by what another, very bright wall sends: indirect light of radiance 100."""
    small = spot(max_depth=2, **variables)
    small.put(small.wall(half=1.0), small.matte("grey", 1.0))
    glow = small.make("DwaEmissiveMaterial", "glow", emission=(100.0, 50.0, 0.0))
    small.put(small.wall("lamp", z=20.0), glow)
    return small


def test_clamping_limits_what_a_bounce_brings() -> None:
    free = firefly_scene().render(64)
    assert free[..., 0].mean() > 50.0
    clamped = firefly_scene(sample_clamping_value=3.0).render(64)
    share = free[..., 0].mean() / 100.0
    # a sample that meets the lamp is scaled to 3 in its strongest channel, with its colour kept
    assert clamped[..., :3].mean(axis=(0, 1)) == pytest.approx([3.0 * share, 1.5 * share, 0.0], rel=1e-3)


def test_clamping_is_shared_between_bsdf_samples() -> None:
    """The limit is divided by the number of BSDF samples, which each bring a share: the sum stays below the limit."""
    clamped = firefly_scene(sample_clamping_value=3.0, bsdf_samples=2).render(64)
    assert 2.0 < clamped[..., 0].max() <= 3.0 + 1e-4


@pytest.mark.parametrize(("depth", "is_clamped"), [(0, True), (1, True), (2, False)])
def test_clamping_depth(depth: int, is_clamped: bool) -> None:
    brightest = firefly_scene(sample_clamping_value=3.0, sample_clamping_depth=depth).render(64)[..., 0].max()
    assert (brightest <= 3.0 + 1e-4) == is_clamped


@pytest.mark.parametrize(("depth", "is_clamped"), [(0, True), (1, False)])
def test_direct_light_is_clamped_from_depth_zero_only(depth: int, is_clamped: bool) -> None:
    small = spot(sample_clamping_value=0.5, sample_clamping_depth=depth)
    small.light("SphereLight", intensity=100.0, node_xform=translate(0.0, 0.0, 30.0), radius=5.0)
    small.put(small.wall(half=1.0), small.matte("grey", 1.0))
    assert (small.render(16)[..., :3].max() <= 1.0 + 1e-4) == is_clamped


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("own", [0, 1, 2])
def test_lights_visible_in_camera(default: bool, own: int) -> None:
    """0 off, 1 on, 2 as the scene variable says; a light adds colour and no alpha."""
    small = spot(lights_visible_in_camera=default)
    small.light("SphereLight", radius=2.0, intensity=3.0, visible_in_camera=own)
    small.put(small.wall(half=1.0, z=-50.0, node_xform=translate(500.0, 0.0, 0.0)), small.matte("grey", 0.5))
    picture = small.render(1)
    seen = own == 1 or (own == 2 and default)
    assert (picture[..., :3] == (3.0 if seen else 0.0)).all()
    assert (picture[..., 3] == 0.0).all()


def test_a_light_in_front_of_geometry_adds_to_it() -> None:
    """Lights stop no ray."""
    small = spot(lights_visible_in_camera=True)
    small.light("RectLight", intensity=2.0, width=4.0, height=4.0, node_xform=turn_x(180.0) @ translate(0.0, 0.0, 1.0))
    glow = small.make("DwaEmissiveMaterial", "glow", emission=(1.0, 1.0, 1.0))
    small.put(small.wall(), glow)
    picture = small.render(1)
    assert (picture[..., :3] == 3.0).all()
    assert (picture[..., 3] == 1.0).all()


def test_light_sets_light_their_own_rows_only() -> None:
    """Two walls side by side, each with a set of its own."""
    small = SmallScene(eye=(0.0, 0.0, 10.0), image_width=16, image_height=8, max_depth=1)
    red = small.make("EnvLight", "red", color=(1.0, 0.0, 0.0))
    green = small.make("EnvLight", "green", color=(0.0, 1.0, 0.0))
    sets = [small.make("LightSet", light.name + " set", lights=[light]) for light in (red, green)]
    none = small.make("LightSet", "none")
    white = small.matte("white", 1.0)
    for i, (name, lights) in enumerate([("left", sets[0]), ("middle", none), ("right", sets[1])]):
        wall = small.wall(name, half=1.5, node_xform=translate(3.0 * (i - 1), 0.0, 0.0))
        small.put(wall, white, lights)
    picture = small.render(16)
    row = picture[4]
    assert row[1] == pytest.approx([1.0, 0.0, 0.0, 1.0], abs=1e-5)
    assert row[8] == pytest.approx([0.0, 0.0, 0.0, 1.0])
    assert row[14] == pytest.approx([0.0, 1.0, 0.0, 1.0], abs=1e-5)


def test_a_light_that_is_off_or_black_gives_nothing() -> None:
    small = spot()
    small.light("EnvLight", "off", on=False)
    small.light("EnvLight", "black", color=(0.0, 0.0, 0.0))
    small.light("RectLight", "flat", width=0.0, node_xform=translate(0.0, 0.0, 1.0))
    small.put(small.wall(), small.matte("white", 1.0))
    engine = small.engine()
    assert engine.flat.light_names == ()
    assert not small.render(4)[..., :3].any()


def test_geometry_hidden_from_the_camera_still_casts_shadows() -> None:
    """A disk of card between lamp and wall."""
    levels = {}
    for name, flags in {
        "all": {},
        "no camera": {"visible_in_camera": False},
        "no shadow": {"visible_shadow": False},
        "neither": {"visible_in_camera": False, "visible_shadow": False, "visible_diffuse_reflection": False},
    }.items():
        small = spot(max_depth=1, max_diffuse_depth=0)
        small.light("SphereLight", radius=0.1, node_xform=translate(3.0, 0.0, 3.0), intensity=100.0)
        small.put(small.wall(), small.matte("white", 1.0))
        card = small.wall("card", half=1.0, z=1.0, node_xform=translate(0.9, 0.0, 0.0), **flags)
        small.put(card, small.make("DwaEmissiveMaterial", "glow", emission=(0.25, 0.25, 0.25)))
        levels[name] = small.render(64)[..., 0].mean()
    # the card covers the picture's centre when the camera sees it
    assert levels["all"] == pytest.approx(0.25)
    assert levels["no shadow"] == pytest.approx(0.25)
    assert levels["no camera"] == pytest.approx(0.0, abs=1e-6)
    # the light hit by a BSDF sample is hidden by nothing either
    lit = 100.0 * (0.1**2 / 18.0) * math.cos(math.radians(45.0))
    assert levels["neither"] == pytest.approx(lit, rel=0.05)


@pytest.mark.parametrize(
    "flag", ["visible_diffuse_reflection", "visible_glossy_reflection", "visible_mirror_reflection"]
)
def test_geometry_hidden_from_reflections(flag: str) -> None:
    """A glowing wall behind the camera, seen in what a wall reflects: by the kind of its lobe."""
    kinds = {
        "visible_diffuse_reflection": {"show_specular": False},
        "visible_glossy_reflection": {"metallic": 1.0, "specular": 1.0, "roughness": 0.3},
        "visible_mirror_reflection": {"metallic": 1.0, "specular": 1.0, "roughness": 0.0},
    }
    for kind, fields in kinds.items():
        small = spot()
        small.put(small.wall(half=1.0), small.make("DwaBaseMaterial", "material", **fields))
        behind = small.wall("behind", z=20.0, **{flag: False})
        small.put(behind, small.make("DwaEmissiveMaterial", "glow"))
        level = small.render(16)[..., 0].mean()
        assert (level < 1e-6) == (kind == flag)


@pytest.mark.parametrize("flag", ["visible_glossy_reflection", "visible_mirror_reflection"])
def test_lights_hidden_from_reflections(flag: str) -> None:
    small = spot()
    small.light("EnvLight", **{flag: False})
    mirror = {"metallic": 1.0, "specular": 1.0, "roughness": 0.0}
    small.put(small.wall(half=1.0), small.make("DwaBaseMaterial", "mirror", **mirror))
    level = small.render(1)[..., 0].mean()
    assert (level == 0.0) == (flag == "visible_mirror_reflection")


def test_emission_is_seen_from_the_camera_and_lights_others() -> None:
    """A glowing ceiling over a wall: as a RectLight of its size would light it, by BSDF samples alone."""
    small = SmallScene(eye=(0.0, 0.0, 0.5), focal=1e5, image_width=2, image_height=2, max_depth=1)
    small.put(small.wall(), small.matte("grey", 0.6))
    glow = small.make("DwaEmissiveMaterial", "glow", emission=(2.0, 2.0, 2.0))
    small.put(small.wall("lamp", half=2.0, z=1.0), glow)
    a = 2.0 / math.sqrt(5.0)
    assert_mean(small.renders(1024, SEEDS), 0.6 * 2.0 * 4.0 * a * math.atan(a) / math.pi)


def test_emission_switched_off_and_negative() -> None:
    small = spot()
    small.put(small.wall(), small.matte("off", 0.0, show_emission=False, emission=(1.0, 1.0, 1.0)))
    assert not small.render(1)[..., :3].any()
    small = spot()
    small.put(small.wall(), small.matte("negative", 0.0, show_emission=True, emission=(-1.0, 0.0, 2.0)))
    assert small.render(1)[0, 0] == pytest.approx([0.0, 0.0, 2.0, 1.0])


def test_more_samples_of_each_kind_change_no_mean_and_lower_the_noise() -> None:
    noise = []
    for n in (1, 3):
        small = SmallScene(eye=(0.0, 1.0, 6.0), light_samples=n, bsdf_samples=n)
        small.light("RectLight", width=2.0, height=2.0, node_xform=turn_x(-90.0) @ translate(0.0, 3.0, 0.0))
        small.put(small.wall(half=3.0), small.make("DwaBaseMaterial", "plastic", roughness=0.4, albedo=(0.5,) * 3))
        small.put(small.wall("floor", half=3.0, node_xform=turn_x(-90.0)), small.matte("white", 0.8))
        pictures = small.renders(4, SEEDS).astype("f8")
        noise.append((pictures.mean(), pictures.std(axis=0, ddof=1).mean()))
    assert noise[0][0] == pytest.approx(noise[1][0], rel=0.01)
    assert noise[1][1] < 0.6 * noise[0][1]
