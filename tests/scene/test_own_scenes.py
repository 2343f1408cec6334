"""The scenes that ship: they read without a warning, and the Cornell box is where its peer has it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from arras_ray.scene import SceneContext, read_scene

SCENES = Path(__file__).parents[2] / "scenes"


@pytest.mark.parametrize("path", sorted(SCENES.glob("*.rdla")), ids=lambda path: path.stem)
def test_own_scenes_read_without_a_warning(path: Path) -> None:
    context = read_scene([path])
    assert context.warnings == []
    assert context.camera is not None
    assert context.layer is not None
    assert context.of_interface("LIGHT")
    for row in context.layer.assignments:
        assert row.material is not None
        assert row.lightset is not None
    assert path.read_text().startswith("-- ")
    assert SceneContext.from_bytes(context.to_bytes()) == context


def test_the_four_scenes_are_there() -> None:
    assert {"cornell_box", "rectangle", "spheres", "many_lights"} <= {path.stem for path in SCENES.glob("*.rdla")}


@pytest.mark.parametrize("name", ["spheres", "many_lights"])
def test_spheres_are_whole(name: str) -> None:
    spheres = read_scene([SCENES / f"{name}.rdla"]).of_class("SphereGeometry")
    assert spheres
    for sphere in spheres:
        radius = sphere.get("radius")
        assert (sphere.get("zmin"), sphere.get("zmax")) == (-radius, radius)


@pytest.fixture(scope="module")
def cornell_box() -> SceneContext:
    return read_scene([SCENES / "cornell_box.rdla"])


# columns of the peer's to_world matrices of a [-1, 1]^3 cube, transposed to row vectors
SMALL_BOX = [[0.286891, 0, 0.0877115, 0], [0, 0.3, 0, 0], [-0.0877115, 0, 0.286891, 0], [0.335, -0.7, 0.38, 1]]
LARGE_BOX = [[0.28491, 0, -0.0939491, 0], [0, 0.61, 0, 0], [0.0939491, 0, 0.28491, 0], [-0.33, -0.4, -0.28, 1]]


@pytest.mark.parametrize(("name", "matrix"), [("small_box", SMALL_BOX), ("large_box", LARGE_BOX)])
def test_cornell_boxes(cornell_box: SceneContext, name: str, matrix: list[list[float]]) -> None:
    box = cornell_box[name]
    half = np.diag([*(np.array(box.get("size")) / 2), 1])
    np.testing.assert_allclose(half @ box.get("node_xform"), matrix, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "axis", "side", "inwards"),
    [("floor", 1, -1, 1), ("ceiling", 1, 1, -1), ("back", 2, -1, 1), ("right_wall", 0, 1, -1), ("left_wall", 0, -1, 1)],
)
def test_cornell_walls_face_inwards(cornell_box: SceneContext, name: str, axis: int, side: int, inwards: int) -> None:
    corners = cornell_box[name].get("vertex_list_0")
    np.testing.assert_array_equal(corners[:, axis], side)
    np.testing.assert_array_equal(np.abs(corners), 1)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    np.testing.assert_array_equal(normal, 4 * inwards * np.eye(3)[axis])


def test_cornell_lamp_and_camera(cornell_box: SceneContext) -> None:
    lamp = cornell_box["lamp"]
    matrix = lamp.get("node_xform")
    # a RectLight shines along the negative z of its node
    np.testing.assert_allclose(-matrix[2, :3], [0, -1, 0], atol=1e-15)
    np.testing.assert_allclose(matrix[3, :3], [0, 0.99, 0.01])
    assert math.isclose(lamp.get("width"), 0.46, rel_tol=1e-6)
    assert math.isclose(lamp.get("height"), 0.38, rel_tol=1e-6)
    np.testing.assert_allclose(lamp.get("color"), [18.387, 13.9873, 6.75357], rtol=1e-6)
    assert lamp.get("normalized") is False
    for name, up in (("lamp_face", -1), ("lamp_back", 1)):
        corners = cornell_box[name].get("vertex_list_0")
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        assert np.sign(normal[1]) == up
        assert 0.99 < corners[:, 1].min() < 0.9905
        np.testing.assert_allclose(
            [corners.min(axis=0)[[0, 2]], corners.max(axis=0)[[0, 2]]], [[-0.23, -0.18], [0.23, 0.2]]
        )
    assert cornell_box["lamp_face"].get("vertex_list_0")[0, 1] < cornell_box["lamp_back"].get("vertex_list_0")[0, 1]
    camera = cornell_box.camera
    assert camera is not None
    angle = 2 * math.degrees(math.atan(camera.get("film_width_aperture") / (2 * camera.get("focal"))))
    assert math.isclose(angle, 39.3077, rel_tol=1e-6)
    np.testing.assert_array_equal(camera.get("node_xform")[3], [0, 0, 3.9, 1])


def test_cornell_colours(cornell_box: SceneContext) -> None:
    expected = {
        "white": [0.885809, 0.698859, 0.666422],
        "green": [0.105421, 0.37798, 0.076425],
        "red": [0.570068, 0.0430135, 0.0443706],
    }
    for name, color in expected.items():
        np.testing.assert_allclose(cornell_box[name].get("albedo"), color, rtol=1e-6)
        assert cornell_box[name].get("show_specular") is False
    layer = cornell_box.layer
    assert layer is not None
    materials = {row.geometry.name: row.material.name for row in layer.assignments if row.material}
    assert (materials["left_wall"], materials["right_wall"], materials["lamp_back"]) == ("red", "green", "black")
