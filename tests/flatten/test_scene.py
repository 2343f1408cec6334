"""Whole scenes: what cannot be drawn, empty ones, picture size, samples, seeds, the grid of sums, cameras."""

from __future__ import annotations

import numpy as np
import pytest
from small_scenes import SmallScene, all_units, go, picture, scaling, translate, turn_x

from arras_ray.errors import SceneError
from arras_ray.flatten import flatten
from arras_ray.flatten.settings import grid_bits
from arras_ray.messages import TILE
from arras_ray.scene import SceneContext


def ball(**variables: object) -> SmallScene:
    small = SmallScene(**variables)
    small.light("EnvLight")
    small.put(small.sphere("ball"), small.matte("grey", 0.5))
    return small


def test_all_arrays_are_read_only_and_contiguous() -> None:
    for array in flatten(ball().context).scene:
        assert not array.flags.writeable
        assert array.flags.c_contiguous


def test_the_same_scene_gives_the_same_arrays() -> None:
    small = ball()
    again = SceneContext.from_bytes(small.context.to_bytes())
    for a, b in zip(flatten(small.context).scene, flatten(again).scene, strict=True):
        assert a.tobytes() == b.tobytes()


def test_no_layer_and_no_camera() -> None:
    context = SceneContext()
    with pytest.raises(SceneError, match="no Layer"):
        flatten(context)
    context.create("Layer", "layer")
    with pytest.raises(SceneError, match="no camera"):
        flatten(context)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"near": -1.0}, "near -1.0"),
        ({"near": 5.0, "far": 5.0}, "far 5.0"),
        ({"focal": 0.0}, "focal 0.0"),
        ({"film_width_aperture": -1.0}, "film_width_aperture -1.0"),
        ({"node_xform": np.zeros((4, 4))}, "cannot be inverted"),
        ({"node_xform": np.full((4, 4), np.nan)}, "cannot be inverted"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_cameras_that_contradict_themselves(attributes: dict[str, object], message: str) -> None:
    small = ball()
    for name, value in attributes.items():
        small.camera.set(name, value)
    with pytest.raises(SceneError, match=message):
        flatten(small.context)


def test_a_camera_of_another_kind() -> None:
    small = ball()
    small.context.variables.set("camera", small.make("OrthographicCamera", "other"))
    with pytest.raises(SceneError, match="only PerspectiveCamera"):
        flatten(small.context)


def test_scale_in_the_camera_s_matrix_changes_nothing() -> None:
    small = ball()
    plain = small.render(4)
    small.camera.set("node_xform", scaling(2.0, 2.0, 2.0) @ translate(0.0, 0.0, 5.0))
    assert flatten(small.context).warnings == ("scale in a camera's node_xform is left out: camera",)
    assert small.render(4).tobytes() == plain.tobytes()


def test_an_empty_layer_renders_nothing() -> None:
    small = SmallScene(lights_visible_in_camera=True)
    small.light("EnvLight")
    assert not small.render(1).any(), "lights count by the light sets of the layer's rows"


def test_a_scene_without_lights_renders_alpha() -> None:
    small = SmallScene()
    small.put(small.sphere("ball"), small.matte("grey", 0.5))
    image = small.render(4)
    assert not image[..., :3].any()
    assert image[8, 8, 3] == 1.0
    assert image[0, 0, 3] == 0.0


def test_only_meshes_and_only_spheres() -> None:
    for kind in ("sphere", "mesh"):
        small = SmallScene()
        small.light("EnvLight")
        small.put(small.sphere("s") if kind == "sphere" else small.wall(), small.matte("white", 1.0))
        assert small.render(1)[8, 8] == pytest.approx([1.0, 1.0, 1.0, 1.0], abs=1e-5)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (65, 63), (64, 64)])
def test_pictures_of_any_size(width: int, height: int) -> None:
    small = ball(image_width=width, image_height=height)
    small.put(small.wall(half=1e4, z=-1.0), small.context["grey"])
    engine = small.engine()
    image = picture(engine, 1)
    assert image.shape == (height, width, 4)
    assert (image[..., 3] == 1.0).all()
    _, sums, samples, _, _ = engine.render(all_units(width, height, 0, 1), go())
    assert samples == width * height
    assert sums[..., 4].sum() == width * height
    assert sums.shape[1] == TILE * TILE


@pytest.mark.parametrize(
    ("width", "height", "res", "expected"),
    [(100, 50, 1.0, (100, 50)), (100, 50, 3.0, (33, 16)), (2, 2, 100.0, (1, 1)), (10, 10, 0.5, (20, 20))],
)
def test_image_size_by_res(width: int, height: int, res: float, expected: tuple[int, int]) -> None:
    small = ball(image_width=width, image_height=height, res=res)
    settings = flatten(small.context).scene.settings[0]
    assert (settings["width"], settings["height"]) == expected


@pytest.mark.parametrize("res", [0.0, -1.0, float("nan")])
def test_a_res_that_makes_no_picture(res: float) -> None:
    with pytest.raises(SceneError, match="res"):
        flatten(ball(res=res).context)


@pytest.mark.parametrize("side", [0, -5])
def test_a_side_that_makes_no_picture(side: int) -> None:
    with pytest.raises(SceneError, match=f"{side} x 16 pixels"):
        flatten(ball(image_width=side).context)


def test_options_override_the_scene() -> None:
    small = ball(image_width=100, image_height=50, pixel_samples=4)
    flat = flatten(small.context, {"width": 30, "height": 20, "spp": 7, "seed": 5})
    settings = flat.scene.settings[0]
    assert (settings["width"], settings["height"], flat.spp, settings["seed"]) == (30, 20, 7, 5)
    assert flatten(small.context).spp == 16


def test_too_many_samples_are_refused() -> None:
    with pytest.raises(SceneError, match="too many"):
        flatten(ball(pixel_samples=257).context)
    with pytest.raises(SceneError, match="70000"):
        flatten(ball(image_width=70000).context)


@pytest.mark.parametrize(("frame", "lock", "seed"), [(0, False, 0), (12, False, 12), (12, True, 0)])
def test_the_frame_is_the_seed(frame: int, lock: bool, seed: int) -> None:
    settings = flatten(ball(frame=frame, lock_frame_noise=lock).context).scene.settings[0]
    assert settings["seed"] == seed


def test_other_seeds_give_other_noise() -> None:
    small = SmallScene(max_depth=1)
    small.light("SphereLight", node_xform=translate(3.0, 3.0, 3.0))
    small.put(small.wall(), small.matte("grey", 0.5))
    assert small.render(1, 1).tobytes() == small.render(1, 1).tobytes()
    assert small.render(1, 1).tobytes() != small.render(1, 2).tobytes()


@pytest.mark.parametrize("emitted", [0.0, 1.0, 4095.0, 5e3, 1e6, 1e12, 1e30])
def test_the_grid_leaves_room_for_what_is_emitted(emitted: float) -> None:
    """2^16 samples of twice what any light sends are exact in float64."""
    bits = grid_bits(emitted)
    limit = 2.0 ** (53 - 16 - bits)
    assert limit > 2.0 * emitted or emitted == 0.0
    assert bits <= 24
    assert limit * 2**16 * 2.0**bits <= 2.0**53


@pytest.mark.parametrize("emitted", [float("nan"), float("inf")])
def test_the_grid_of_a_broken_light(emitted: float) -> None:
    assert grid_bits(emitted) == 24


def test_a_bright_light_is_not_cut() -> None:
    small = SmallScene(max_depth=0, lights_visible_in_camera=True)
    small.light("EnvLight", intensity=1e9)
    small.put(small.wall(half=0.1), small.matte("black", 0.0))
    assert small.render(4)[0, 0, :3] == pytest.approx(1e9, rel=1e-6)


def test_layer_rows_share_materials_and_lights() -> None:
    small = SmallScene()
    small.light("EnvLight", "sky")
    small.light("SphereLight", "lamp")
    grey = small.matte("grey", 0.5)
    other = small.make("LightSet", "other", lights=[small.context["lamp"]])
    small.put(small.sphere("a"), grey)
    small.put(small.sphere("b"), grey, other)
    flat = flatten(small.context)
    assert flat.material_names == ("grey",)
    assert sorted(flat.light_names) == ["lamp", "sky"]
    runs = [
        {flat.light_names[i] for i in flat.scene.light_ids[row["first_light"] : row["first_light"] + row["n_lights"]]}
        for row in flat.scene.assignments
    ]
    assert runs == [{"sky", "lamp"}, {"lamp"}]


def test_rects_emit_along_minus_z() -> None:
    for matrix, normal in ((np.eye(4), (0, 0, -1)), (turn_x(90.0), (0, 1, 0)), (scaling(-1, 1, 1), (0, 0, -1))):
        small = ball()
        small.light("RectLight", "rect", width=2.0, height=3.0, node_xform=matrix)
        flat = flatten(small.context)
        record = flat.scene.lights[flat.light_names.index("rect")]
        assert record["normal"] == pytest.approx(normal, abs=1e-6)
        assert record["area"] == pytest.approx(6.0)
