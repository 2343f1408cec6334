"""UserData at every rate, read by AttributeMaps: what a pixel of each face shows."""

from __future__ import annotations

import numpy as np
import pytest
from small_scenes import SmallScene, translate

from arras_ray.flatten import FlatScene, flatten
from arras_ray.kernels.layout import CONSTANT, FACE_VARYING, NONE, PART, UNIFORM, VERTEX
from arras_ray.scene import SceneObject

R, G, B, W = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)
LEFT, RIGHT = (3, 8), (12, 8)
"""Pixels, (column, row), near the middle of the strip's two faces."""


def strip(small: SmallScene, name: str = "strip", **attributes: object) -> SceneObject:
    """Two squares side by side, 2 x 1 over x in [-2, 2], y in [-1, 1]: six vertices, two parts, eight corners."""
    points = [(-2, -1, 0), (0, -1, 0), (2, -1, 0), (-2, 1, 0), (0, 1, 0), (2, 1, 0)]
    return small.make(
        "RdlMeshGeometry",
        name,
        is_subd=False,
        vertex_list_0=np.array(points, "f4"),
        face_vertex_count=[4, 4],
        vertices_by_index=[0, 1, 4, 3, 1, 2, 5, 4],
        part_list=["left", "right"],
        part_face_count_list=[1, 1],
        part_face_indices=[0, 1],
        **attributes,
    )


def scene(rate: str = "auto", default: tuple[float, ...] = (0.5, 0.25, 0.125), **values: object) -> SmallScene:
    """The strip glows in the colour attribute `tint`, seen square by a distant camera."""
    rates = ["auto", "constant", "part", "uniform", "vertex", "varying", "face varying"]
    small = SmallScene(eye=(0.0, 0.0, 1000.0), focal=24.0 * 1000.0 / 4.0, image_width=16, image_height=16)
    colors = small.make("AttributeMap", "colors", primitive_attribute_name="tint", default_value=default)
    glow = small.matte("glow", 0.0, show_emission=True)
    glow.bind("emission", colors)
    data = small.make("UserData", "data", rate=rates.index(rate), **values)
    small.put(strip(small, primitive_attributes=[data]), glow)
    return small


def at(picture: np.ndarray, pixel: tuple[int, int]) -> np.ndarray:
    return picture[pixel[1], pixel[0], :3]


def rate_in(flat: FlatScene) -> int:
    (attribute,) = flat.scene.attributes
    return int(attribute["rate"])


COLORS = {
    "constant": [R],
    "part": [R, G],
    "uniform": [R, G],
    "vertex": [R, G, B, R, G, B],
    "varying": [R, G, B, R, G, B],
    "face varying": [R, R, R, R, G, G, G, G],
}
KERNEL_RATES = {
    "constant": CONSTANT,
    "part": PART,
    "uniform": UNIFORM,
    "vertex": VERTEX,
    "varying": VERTEX,
    "face varying": FACE_VARYING,
}


@pytest.mark.parametrize("rate", COLORS)
def test_each_rate(rate: str) -> None:
    small = scene(rate, color_key="tint", color_values_0=COLORS[rate])
    flat = flatten(small.context)
    assert rate_in(flat) == KERNEL_RATES[rate]
    assert flat.warnings == ()
    picture = small.render(4)
    if rate == "constant":
        assert at(picture, LEFT) == pytest.approx(R)
        assert at(picture, RIGHT) == pytest.approx(R)
    elif rate in ("part", "uniform", "face varying"):
        assert at(picture, LEFT) == pytest.approx(R)
        assert at(picture, RIGHT) == pytest.approx(G)
    else:
        # from left to right: red to green, green to blue; vertices above each other are equal
        for column in range(16):
            x = (column + 0.5) / 8.0
            expected = [max(0.0, 1.0 - x), 1.0 - abs(1.0 - x), max(0.0, x - 1.0)]
            assert picture[8, column, :3] == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize(("n", "rate"), [(1, CONSTANT), (8, FACE_VARYING), (2, PART), (6, VERTEX)])
def test_rates_guessed_from_sizes(n: int, rate: int) -> None:
    flat = flatten(scene("auto", color_key="tint", color_values_0=[R] * n).context)
    assert rate_in(flat) == rate
    assert flat.warnings == ()


def test_uniform_is_guessed_where_parts_do_not_fit() -> None:
    small = scene("auto", color_key="tint", color_values_0=[R, G])
    mesh = small.context["strip"]
    for name in ("part_list", "part_face_count_list", "part_face_indices"):
        mesh.set(name, [])
    assert rate_in(flatten(small.context)) == UNIFORM


@pytest.mark.parametrize(("n", "rate"), [(7, VERTEX), (3, PART), (20, FACE_VARYING)])
def test_too_many_values_take_the_largest_rate_that_fits(n: int, rate: int) -> None:
    flat = flatten(scene("auto", color_key="tint", color_values_0=[R] * n).context)
    assert rate_in(flat) == rate
    assert flat.warnings == ("a primitive attribute has more values than its rate needs: data",)


@pytest.mark.parametrize("rate", ["constant", "uniform", "vertex", "varying", "face varying", "part"])
def test_a_rate_that_does_not_fit_is_dropped(rate: str) -> None:
    small = scene(rate, color_key="tint", color_values_0=[R] * 5)
    flat = flatten(small.context)
    assert len(flat.scene.attributes) == 0
    assert flat.warnings == ("a primitive attribute is dropped because its rate does not fit its size: data",)
    assert at(small.render(1), LEFT) == pytest.approx((0.5, 0.25, 0.125)), "the map's default"


def test_a_missing_attribute_gives_the_default() -> None:
    small = scene("constant", color_key="other", color_values_0=[R])
    assert at(small.render(1), LEFT) == pytest.approx((0.5, 0.25, 0.125))
    assert flatten(small.context).scene.attributes["key"].tolist() == [NONE]


def test_an_attribute_of_another_type_is_another_attribute() -> None:
    small = scene("constant", vec3f_key="tint", vec3f_values_0=[(0.1, 0.2, 0.3)])
    assert at(small.render(1), LEFT) == pytest.approx((0.5, 0.25, 0.125))


@pytest.mark.parametrize(
    ("kind", "values", "shown"),
    [
        (0, {"float_key": "tint", "float_values_0": [0.7]}, (0.7, 0.7, 0.7)),
        (1, {"vec2f_key": "tint", "vec2f_values_0": [(0.3, 0.6)]}, (0.3, 0.6, 0.0)),
        (2, {"vec3f_key": "tint", "vec3f_values_0": [(0.1, 0.2, 0.9)]}, (0.1, 0.2, 0.9)),
        (3, {"color_key": "tint", "color_values_0": [(0.1, 0.2, 0.9)]}, (0.1, 0.2, 0.9)),
        (4, {"int_key": "tint", "int_values": [3]}, (3.0, 3.0, 3.0)),
    ],
)
def test_types(kind: int, values: dict[str, object], shown: tuple[float, ...]) -> None:
    small = scene("constant", **values)
    small.context["colors"].set("primitive_attribute_type", kind)
    assert at(small.render(1), LEFT) == pytest.approx(shown)


def test_values_are_multiplied_by_the_map() -> None:
    small = scene("constant", color_key="tint", color_values_0=[(0.5, 1.0, 2.0)])
    small.context["glow"].set("emission", (2.0, 0.5, 0.0), keep_binding=True)
    assert at(small.render(1), LEFT) == pytest.approx((1.0, 0.5, 0.0))


def test_a_bright_attribute_is_not_cut() -> None:
    """Emission far above the range of a usual picture, through a map whose own value is 1."""
    small = scene("constant", color_key="tint", color_values_0=[(1e6, 2e4, 1.0)])
    assert at(small.render(1), LEFT) == pytest.approx((1e6, 2e4, 1.0), rel=1e-6)


def test_values_between_motion_steps() -> None:
    small = scene("constant", color_key="tint", color_values_0=[R], color_values_1=[B])
    assert at(small.render(1), LEFT) == pytest.approx(B), "by default the frame is the second step"
    small.context.variables.set("motion_steps", [-1.0, 3.0])
    assert at(small.render(1), LEFT) == pytest.approx((0.75, 0.0, 0.25))


def test_parts_with_one_row_keep_their_own_part_values() -> None:
    """Two parts that share the layer's row for the whole mesh, coloured at part rate."""
    small = scene("part", color_key="tint", color_values_0=[R, G])
    picture = small.render(1)
    assert at(picture, LEFT) == pytest.approx(R)
    assert at(picture, RIGHT) == pytest.approx(G)


def test_st_of_meshes() -> None:
    """A map of kind `texture st`, by vertex and by corner."""
    for uv in (
        [(0, 0), (0.5, 0), (1, 0), (0, 1), (0.5, 1), (1, 1)],
        [(0, 0), (0.5, 0), (0.5, 1), (0, 1), (0.5, 0), (1, 0), (1, 1), (0.5, 1)],
    ):
        small = scene()
        small.context["colors"].set("map_type", 2)
        small.context["strip"].set("uv_list", np.array(uv, "f4"))
        picture = small.render(16)
        # the strip covers rows 4 to 11
        for column, row in ((2, 5), (8, 9), (14, 6)):
            expected = [(column + 0.5) / 16.0, (row + 0.5 - 4.0) / 8.0, 0.0]
            assert picture[row, column, :3] == pytest.approx(expected, abs=0.02)


def test_st_that_fits_no_rate_or_is_missing_is_zero() -> None:
    small = scene()
    small.context["colors"].set("map_type", 2)
    small.context["strip"].set("uv_list", np.zeros((5, 2)))
    assert at(small.render(1), LEFT) == pytest.approx((0.0, 0.0, 0.0))


def test_st_of_a_sphere() -> None:
    """s goes once around the pole z from +x, t from the lower to the upper end."""
    small = SmallScene(eye=(0.0, 0.0, 1000.0), focal=24.0 * 1000.0 / 4.0, image_width=9, image_height=9)
    st = small.make("AttributeMap", "st", map_type=2)
    glow = small.matte("glow", 0.0, show_emission=True)
    glow.bind("emission", st)
    small.put(small.sphere("ball", 1.5), glow)
    picture = small.render(64)
    for column, row in ((6, 5), (5, 6), (2, 6), (3, 3), (6, 2)):
        expected = np.arctan2(row - 4.0, column - 4.0) / (2.0 * np.pi) % 1.0
        assert picture[row, column, 0] == pytest.approx(expected, abs=0.05)
        assert picture[row, column, 1] > 0.5


@pytest.mark.parametrize(("map_type", "expected"), [(1, (0.25, 0.5, 7.0)), (3, (0, 0, 1)), (4, (0, 0, 1))])
def test_maps_of_positions_and_normals(map_type: int, expected: tuple[float, ...]) -> None:
    small = SmallScene(eye=(0.25, 0.5, 10.0), focal=1e6, image_width=1, image_height=1)
    where = small.make("AttributeMap", "where", map_type=map_type)
    glow = small.matte("glow", 0.0, show_emission=True)
    glow.bind("emission", where)
    small.put(small.wall(node_xform=translate(0.0, 0.0, 7.0)), glow)
    assert small.render(1)[0, 0, :3] == pytest.approx(expected, abs=1e-3)


def test_a_map_that_is_not_drawn_yet_leaves_the_own_value() -> None:
    small = scene("constant", color_key="tint", color_values_0=[R])
    noise = small.make("NoiseMap", "noise")
    small.context["glow"].bind("emission", noise)
    assert at(small.render(1), LEFT) == pytest.approx(W)
    assert flatten(small.context).warnings == ("NoiseMap is not drawn yet; the attribute's own value stands in: noise",)


def test_float_attributes_take_the_mean_of_a_map() -> None:
    """Roughness 1 times a map of (0.1, 0.2, 0.6) is 0.3; metallic likewise."""
    pictures = []
    for bound in (True, False):
        small = SmallScene(eye=(0.0, 0.0, 10.0), focal=1e5, image_width=2, image_height=2)
        small.light("RectLight", width=3.0, height=3.0, node_xform=translate(0.5, 0.5, 20.0))
        metal = small.make("DwaBaseMaterial", "metal", metallic=1.0, specular=1.0, roughness=1.0 if bound else 0.3)
        colors = small.make("AttributeMap", "colors", primitive_attribute_name="tint")
        if bound:
            metal.bind("roughness", colors)
        data = small.make("UserData", "data", color_key="tint", color_values_0=[(0.1, 0.2, 0.6)])
        small.put(small.wall(primitive_attributes=[data]), metal)
        pictures.append(small.render(4))
    assert pictures[0] == pytest.approx(pictures[1], rel=1e-3)
    assert pictures[1][..., 0].mean() > 0.0
