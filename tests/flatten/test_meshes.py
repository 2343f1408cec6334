"""Meshes into triangles: polygons of any shape, normals, parts, transforms, motion, and lists that contradict."""

from __future__ import annotations

import numpy as np
import pytest
from small_scenes import SmallScene, scaling, translate, turn_x

from arras_ray.flatten import FlatScene, flatten
from arras_ray.flatten.mesh import box_mesh, triangulate
from arras_ray.flatten.polygon import cut_polygon
from arras_ray.kernels.layout import FACE_VARYING, NONE, VERTEX
from arras_ray.scene import SceneObject, Vec3


def area2(points: np.ndarray) -> float:
    """Signed area of a (n, 2) polygon."""
    x, y = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2.0)


def star(seed: int, n: int) -> np.ndarray:
    """(n, 2) corners of a polygon that sees its centre: radii anywhere, angles in order."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0.0, 2.0 * np.pi, n))
    while np.diff(np.append(angles, angles[0] + 2.0 * np.pi)).max() > 3.0:
        angles = np.sort(rng.uniform(0.0, 2.0 * np.pi, n))
    return rng.uniform(0.2, 1.0, n)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)


L_SHAPE = np.array([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)], "f8")
COMB = np.array([(0, 0), (7, 0), (7, 3), (6, 3), (6, 1), (5, 1), (5, 3), (4, 3), (4, 1), (3, 1), (3, 3), (0, 3)], "f8")
SQUARE_WITH_MIDPOINTS = np.array([(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1)], "f8")
KEYHOLE = np.array([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1)], "f8")
DART = np.array([(0, 0), (2, -1), (0.5, 0), (2, 1)], "f8")
SHAPES = {
    "L": L_SHAPE,
    "comb": COMB,
    "square with midpoints": SQUARE_WITH_MIDPOINTS,
    **{f"keyhole from corner {k}": np.roll(KEYHOLE, k, axis=0) for k in range(10)},
    "dart": DART,
    "dart from its notch": np.roll(DART, 2, axis=0),
    "dart from a wing": np.roll(DART, 1, axis=0),
    **{f"star {seed}": star(seed, 4 + seed) for seed in range(12)},
}


def embed(points: np.ndarray, seed: int) -> np.ndarray:
    """(n, 3): the polygon in some plane, away from the origin."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return points @ basis[:2] + rng.uniform(-5.0, 5.0, 3)


@pytest.mark.parametrize("reverse", [False, True], ids=["", "reversed"])
@pytest.mark.parametrize("name", SHAPES)
def test_polygons_keep_area_winding_and_outline(name: str, reverse: bool) -> None:
    points = SHAPES[name][::-1] if reverse else SHAPES[name]
    triangles = cut_polygon(embed(points, 1))
    assert triangles.shape == (len(points) - 2, 3)
    sign = np.sign(area2(points))
    areas = np.array([area2(points[t]) for t in triangles]) * sign
    assert areas.sum() == pytest.approx(abs(area2(points)))
    assert areas.min() >= -1e-9, "a triangle is turned over"
    # with the right sum and no negative area nothing lies outside or twice


@pytest.mark.parametrize("name", SHAPES)
def test_meshes_of_one_face(name: str) -> None:
    points = embed(SHAPES[name], 2)
    flat = flatten(one_face(points).context)
    v = points[flat.scene.triangles["v"][:-1]]
    normals = np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0])
    assert np.linalg.norm(normals, axis=1).sum() / 2.0 == pytest.approx(abs(area2(SHAPES[name])), rel=1e-6)
    mean = normals.sum(axis=0) / np.linalg.norm(normals.sum(axis=0))
    assert (normals @ mean >= -1e-6).all()


def one_face(points: np.ndarray) -> SmallScene:
    small = SmallScene()
    mesh = small.make(
        "RdlMeshGeometry",
        "face",
        is_subd=False,
        vertex_list_0=points.astype("f4"),
        face_vertex_count=[len(points)],
        vertices_by_index=list(range(len(points))),
    )
    small.put(mesh, small.matte("grey", 0.5))
    return small


def test_a_polygon_that_crosses_itself_still_gives_triangles() -> None:
    bow = np.array([(0, 0, 0), (1, 1, 0), (1, 0, 0), (0, 1, 0), (-1, 0.5, 0)], "f8")
    assert cut_polygon(bow).shape == (3, 3)
    assert cut_polygon(np.zeros((6, 3))).shape == (4, 3)


def test_faces_of_mixed_sizes_keep_their_numbers() -> None:
    """A triangle, a line, a quad, a pentagon: face and corner numbers as attributes need them."""
    small = SmallScene()
    points = np.random.default_rng(3).normal(size=(14, 3)).astype("f4")
    counts = [3, 2, 4, 5]
    mesh = small.make(
        "RdlMeshGeometry",
        "mixed",
        is_subd=False,
        vertex_list_0=points,
        face_vertex_count=counts,
        vertices_by_index=list(range(13, -1, -1)),
    )
    small.put(mesh, small.matte("grey", 0.5))
    triangles = flatten(small.context).scene.triangles[:-1]
    assert triangles["face"].tolist() == [0, 2, 2, 3, 3, 3]
    assert (triangles["v"] == 13 - triangles["corner"]).all()
    starts = np.array([0, 3, 5, 9])
    for triangle in triangles:
        begin = starts[triangle["face"]]
        assert (triangle["corner"] >= begin).all()
        assert (triangle["corner"] < begin + counts[triangle["face"]]).all()


def first_normals(flat: FlatScene, index: int = 0) -> np.ndarray:
    geometry = flat.scene.geometries[index]
    assert geometry["first_normal"] != NONE
    return flat.scene.points[geometry["first_normal"] :]


def roof(small: SmallScene, **attributes: object) -> SceneObject:
    """Two quads that meet in a ridge along x at right angles."""
    points = [(0, 0, 0), (1, 0, 0), (1, 1, 1), (0, 1, 1), (1, 2, 0), (0, 2, 0)]
    lists = {
        "vertex_list_0": np.array(points, "f4"),
        "face_vertex_count": [4, 4],
        "vertices_by_index": [0, 1, 2, 3, 3, 2, 4, 5],
    }
    mesh = small.make("RdlMeshGeometry", "roof", is_subd=False, **{**lists, **attributes})
    return small.put(mesh, small.matte("grey", 0.5))


def test_smooth_normals_are_means_of_the_faces_around() -> None:
    small = SmallScene()
    roof(small)
    flat = flatten(small.context)
    assert flat.scene.geometries[0]["normal_rate"] == VERTEX
    normals = first_normals(flat)
    s = np.sqrt(0.5)
    assert normals[2] == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    assert normals[0] == pytest.approx([0.0, -s, s], abs=1e-6)
    assert normals[4] == pytest.approx([0.0, s, s], abs=1e-6)


def test_flat_normals_where_smoothing_is_off() -> None:
    small = SmallScene()
    roof(small, smooth_normal=False)
    assert flatten(small.context).scene.geometries[0]["first_normal"] == NONE


@pytest.mark.parametrize(("n", "rate"), [(6, VERTEX), (8, FACE_VARYING)])
def test_given_normals(n: int, rate: int) -> None:
    small = SmallScene()
    roof(small, normal_list=np.tile([(0.0, 0.6, 0.8)], (n, 1)), node_xform=scaling(1.0, 2.0, 1.0))
    flat = flatten(small.context)
    assert flat.scene.geometries[0]["normal_rate"] == rate
    normal = first_normals(flat)[0] / np.linalg.norm(first_normals(flat)[0])
    expected = np.array([0.0, 0.3, 0.8]) / np.hypot(0.3, 0.8)
    assert normal == pytest.approx(expected, abs=1e-6)


def test_given_normals_of_a_wrong_number_are_left_out() -> None:
    small = SmallScene()
    roof(small, normal_list=np.ones((5, 3)))
    assert first_normals(flatten(small.context))[2] == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


def test_transforms_move_vertices() -> None:
    matrix = scaling(-2.0, 1.0, 0.5) @ turn_x(30.0) @ translate(1.0, 2.0, 3.0)
    small = SmallScene()
    roof(small, node_xform=matrix)
    flat = flatten(small.context)
    first = flat.scene.geometries[0]["first_vertex"]
    expected = np.array([1.0, 1.0, 1.0, 1.0]) @ matrix
    assert flat.scene.points[first + 2] == pytest.approx(expected[:3], abs=1e-5)


def test_mirrored_and_stretched_boxes_look_right() -> None:
    """Lit from above only, the top is bright and the front is dark, whichever way the matrix turns the winding."""
    for matrix in (np.eye(4), scaling(-1.0, 1.0, 1.0), scaling(1.0, 1.0, -1.0)):
        small = SmallScene(eye=(0.0, 0.0, 6.0), max_depth=0)
        small.camera.set("node_xform", turn_x(-45.0) @ translate(0.0, 4.0, 4.0))
        small.light("RectLight", width=4.0, height=4.0, node_xform=turn_x(-90.0) @ translate(0.0, 5.0, 0.0))
        small.put(small.make("BoxGeometry", "box", node_xform=matrix), small.matte("white", 1.0))
        picture = small.render(16)
        assert picture[9, 8, 0] > 0.1
        assert picture[6, 8, 0] < 0.3 * picture[9, 8, 0]


@pytest.mark.parametrize("matrix", [scaling(1.0, 1.0, 0.0), scaling(0.0, 0.0, 0.0)])
@pytest.mark.parametrize("normals", [True, False])
def test_flattened_meshes_are_drawn(matrix: np.ndarray, normals: bool) -> None:
    """A matrix that cannot be inverted is no reason to fail."""
    small = SmallScene(max_depth=1)
    small.light("EnvLight")
    fields = {"normal_list": np.tile([(0.0, 0.6, 0.8)], (6, 1))} if normals else {}
    roof(small, node_xform=matrix, **fields)
    small.put(small.make("BoxGeometry", "box", node_xform=matrix), small.matte("white", 1.0))
    assert np.isfinite(small.render(4)).all()


def test_boxes() -> None:
    small = SmallScene()
    small.put(small.make("BoxGeometry", "box", size=(2.0, 4.0, 6.0)), small.matte("grey", 0.5))
    flat = flatten(small.context)
    v = flat.scene.points[flat.scene.triangles["v"][:-1]].astype("f8")
    assert v.min(axis=(0, 1)) == pytest.approx([-1, -2, -3])
    assert v.max(axis=(0, 1)) == pytest.approx([1, 2, 3])
    cross = np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0])
    assert np.linalg.norm(cross, axis=1).sum() / 2.0 == pytest.approx(2 * (8 + 12 + 24))
    assert (np.einsum("ij,ij->i", cross, v.mean(axis=1)) > 0.0).all(), "faces look outwards"
    assert triangulate(box_mesh(Vec3(1.0, 1.0, 1.0)))["face"].tolist() == sorted([*range(6)] * 2)


def two_parts(small: SmallScene, **attributes: object) -> SceneObject:
    points = np.array([(i % 2, i // 2, 0) for i in range(8)], "f4")
    fields = {
        "part_list": ["a", "b"],
        "part_face_count_list": [1, 1],
        "part_face_indices": [0, 2],
        **attributes,
    }
    return small.make(
        "RdlMeshGeometry",
        "mesh",
        is_subd=False,
        vertex_list_0=points,
        face_vertex_count=[4, 4, 4],
        vertices_by_index=[0, 1, 3, 2, 2, 3, 5, 4, 4, 5, 7, 6],
        **fields,
    )


def shown(flat: FlatScene) -> dict[int, str]:
    """Face number to material name, for the faces that are left."""
    rows = flat.scene.assignments
    return {int(t["face"]): flat.material_names[rows[t["assignment"]]["material"]] for t in flat.scene.triangles[:-1]}


def test_parts_take_their_rows_and_the_rest_that_of_the_mesh() -> None:
    small = SmallScene()
    mesh = two_parts(small)
    small.put(mesh, small.matte("rest", 0.5))
    small.put(mesh, small.matte("of a", 0.5), part="a")
    assert shown(flatten(small.context)) == {0: "of a", 1: "rest", 2: "rest"}


def test_faces_without_a_material_are_left_out() -> None:
    small = SmallScene()
    mesh = two_parts(small)
    small.put(mesh, small.matte("of b", 0.5), part="b")
    flat = flatten(small.context)
    assert shown(flat) == {2: "of b"}
    assert flat.warnings == ()
    assert np.isfinite(small.render(1)).all()


@pytest.mark.parametrize(
    "lists",
    [
        {"part_face_counts": [5, 5], "part_face_indices": [0, 1, 2, 3, 4]},
        {"part_face_counts": [-1, 2], "part_face_indices": [-7, 99]},
        {"part_face_counts": [1, 1, 1], "part_face_indices": [0, 1, 2]},
        {"part_face_counts": [1, 1], "part_face_indices": []},
    ],
)
def test_part_lists_that_do_not_fit(lists: dict[str, list[int]]) -> None:
    """Faces a part names wrongly belong to no part; nothing fails."""
    small = SmallScene()
    mesh = two_parts(
        small, part_face_count_list=lists["part_face_counts"], part_face_indices=lists["part_face_indices"]
    )
    small.put(mesh, small.matte("rest", 0.5))
    assert sorted(shown(flatten(small.context))) == [0, 1, 2]


def test_vertices_between_motion_steps() -> None:
    small = SmallScene()
    mesh = roof(small)
    points = mesh.get("vertex_list_0").astype("f8")
    mesh.set("vertex_list_1", points + [0.0, 0.0, 4.0])
    flat = flatten(small.context)
    assert flat.scene.points[0, 2] == 4.0, "by default the frame is the second step"
    small.context.variables.set("motion_steps", [-1.0, 3.0])
    assert flatten(small.context).scene.points[0, 2] == 1.0
    mesh.set("vertex_list_1", points[:3])
    assert flatten(small.context).scene.points[0, 2] == 0.0, "a second list of another length does not count"


def test_a_blurred_matrix_at_the_frame() -> None:
    small = SmallScene()
    mesh = roof(small)
    mesh.set_blur("node_xform", translate(0.0, 0.0, 8.0), translate(0.0, 0.0, 4.0))
    assert flatten(small.context).scene.points[0, 2] == 4.0
    small.context.variables.set("motion_steps", [-1.0, 3.0])
    assert flatten(small.context).scene.points[0, 2] == 7.0


HOSTILE = {
    "no faces": {"face_vertex_count": [], "vertices_by_index": []},
    "no vertices": {"vertex_list_0": np.zeros((0, 3))},
    "index too large": {"vertices_by_index": [0, 1, 2, 3, 3, 2, 4, 99]},
    "negative index": {"vertices_by_index": [0, 1, 2, 3, 3, 2, 4, -1]},
    "counts too small": {"face_vertex_count": [4, 3]},
    "counts too large": {"face_vertex_count": [4, 400000]},
    "negative count": {"face_vertex_count": [12, -4]},
    "NaN": {"vertex_list_0": np.full((6, 3), np.nan)},
    "infinite": {"vertex_list_0": np.full((6, 3), np.inf)},
    "NaN matrix": {"node_xform": np.full((4, 4), np.nan)},
    "beyond float32": {"node_xform": scaling(1e39, 1e39, 1e39)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_meshes_are_left_out_and_told(name: str) -> None:
    small = SmallScene()
    small.light("EnvLight")
    roof(small, **HOSTILE[name])
    small.put(small.sphere("ball"), small.matte("white", 0.5))
    flat = flatten(small.context)
    assert flat.geometry_names == ("ball",)
    (warning,) = flat.warnings
    assert warning.startswith("a geometry is left out because ")
    assert warning.endswith(": roof")
    assert small.render(1)[8, 8, 3] == 1.0


HARMLESS = {
    "faces of no area": {"vertex_list_0": np.zeros((6, 3))},
    "one and two corners": {"face_vertex_count": [1, 2, 5]},
    "the same vertex again": {"vertices_by_index": [0] * 8},
    "NaN normals": {"normal_list": np.full((6, 3), np.nan)},
    "normals of length zero": {"normal_list": np.zeros((6, 3))},
    "normals along the surface": {"normal_list": np.tile([(1.0, 0.0, 0.0)], (6, 1))},
    "NaN st": {"uv_list": np.full((6, 2), np.nan)},
    "far away": {"node_xform": translate(1e15, 0.0, 0.0)},
    "huge": {"node_xform": scaling(1e15, 1e15, 1e15)},
    "tiny": {"node_xform": scaling(1e-30, 1e-30, 1e-30)},
}


@pytest.mark.parametrize("name", HARMLESS)
def test_odd_meshes_render(name: str) -> None:
    """Finite pictures, no sample lost."""
    small = SmallScene(eye=(0.5, 1.0, 5.0))
    small.light("EnvLight")
    roof(small, **HARMLESS[name])
    assert np.isfinite(small.render(4)).all()


def test_pictures_do_not_depend_on_where_the_scene_is() -> None:
    """Moved far from the origin, within what float32 can tell."""
    near = far = None
    for away in (0.0, 4096.0):
        small = SmallScene(eye=(away, 0.0, 5.0), max_depth=2)
        small.light("EnvLight")
        small.put(
            small.make("BoxGeometry", "box", node_xform=turn_x(30.0) @ translate(away, 0.0, 0.0)), small.matte("w", 0.8)
        )
        small.put(small.wall(node_xform=translate(away, 0.0, -1.0), half=4.0), small.matte("v", 0.8))
        near, far = far, small.render(64)
    assert near is not None
    assert np.abs(near - far).mean() < 2e-3
