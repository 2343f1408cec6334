"""Polygon meshes: read from RdlMeshGeometry, made for a box, cut into triangles."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from arras_ray.flatten.affine import lengths
from arras_ray.flatten.polygon import cut_polygon
from arras_ray.kernels.layout import FACE_VARYING, NONE, TRIANGLE, VERTEX
from arras_ray.scene import SceneObject, Vec3


class MeshError(Exception):
    """Says, as the end of a sentence, why a mesh cannot be drawn."""


@dataclass
class Mesh:
    """Faces over vertices in object space.

    vertices: (n, 3) f8. counts: (faces,) corners of each face; indices: (corners,) vertex numbers, face after face.
    parts: (faces,) number of each face's part, or NONE. normals, st: (m, 3), (m, 2) at their rate, or None.
    smooth: whether normals are to be averaged where none are given.
    """

    vertices: np.ndarray
    counts: np.ndarray
    indices: np.ndarray
    parts: np.ndarray
    part_names: tuple[str, ...] = ()
    normals: np.ndarray | None = None
    normal_rate: int = VERTEX
    st: np.ndarray | None = None
    st_rate: int = VERTEX
    smooth: bool = True
    starts: np.ndarray = field(init=False)
    """(faces,) where each face's corners begin."""

    def __post_init__(self) -> None:
        self.starts = np.cumsum(self.counts) - self.counts


def rdl_mesh(geometry: SceneObject) -> Mesh:
    """The mesh of an RdlMeshGeometry at the scene's frame. Raises MeshError for lists that contradict each other."""
    vertices = _vertices(geometry)
    counts = geometry.get("face_vertex_count").astype("i8")
    indices = geometry.get("vertices_by_index").astype("i8")
    if not len(counts) or not len(vertices):
        raise MeshError("it has no faces")
    if (counts < 0).any() or counts.sum() != len(indices):
        raise MeshError(f"face_vertex_count adds up to {counts.sum()}, but vertices_by_index has {len(indices)}")
    if indices.min(initial=0) < 0 or indices.max(initial=0) >= len(vertices):
        raise MeshError(f"vertices_by_index names a vertex outside the {len(vertices)} there are")
    if not np.isfinite(vertices).all() or not np.isfinite(geometry.get("node_xform")).all():
        raise MeshError("a vertex is not a finite number")
    mesh = Mesh(vertices, counts, indices, _parts(geometry, len(counts)), tuple(geometry.get("part_list")))
    mesh.normals, mesh.normal_rate = _by_corner_or_vertex(geometry.get("normal_list"), mesh)
    mesh.st, mesh.st_rate = _by_corner_or_vertex(geometry.get("uv_list"), mesh)
    mesh.smooth = bool(geometry.get("smooth_normal"))
    return mesh


def _vertices(geometry: SceneObject) -> np.ndarray:
    """(n, 3) at the frame: between the two motion samples where there are two."""
    first: np.ndarray = geometry.get("vertex_list_0").astype("f8")
    second: np.ndarray = geometry.get("vertex_list_1").astype("f8")
    if len(second) != len(first):
        return first
    t = geometry.context.motion_fraction(0.0)
    return second if t == 1.0 else first * (1.0 - t) + second * t


def _parts(geometry: SceneObject, n_faces: int) -> np.ndarray:
    """(faces,) part numbers. Without part_face_indices, parts take faces in turn."""
    parts = np.full(n_faces, NONE, "i4")
    counts = geometry.get("part_face_count_list")
    faces = geometry.get("part_face_indices")
    if not len(faces):
        faces = np.arange(n_faces)
    names = np.repeat(np.arange(len(counts)), np.maximum(counts, 0))[: len(faces)]
    names = np.where(names < len(geometry.get("part_list")), names, NONE)
    chosen = faces[: len(names)]
    inside = (chosen >= 0) & (chosen < n_faces)
    parts[chosen[inside]] = names[inside]
    return parts


def _by_corner_or_vertex(values: np.ndarray, mesh: Mesh) -> tuple[np.ndarray | None, int]:
    """Values with the rate their number fits; None where it fits none."""
    if len(values) and len(values) == len(mesh.indices):
        return values.astype("f8"), FACE_VARYING
    if len(values) and len(values) == len(mesh.vertices):
        return values.astype("f8"), VERTEX
    return None, VERTEX


def box_mesh(size: Vec3) -> Mesh:
    """A box of full edge lengths `size` about the origin: six quads with st from 0 to 1 each and flat normals."""
    corners = np.array([(x, y, z) for z in (-0.5, 0.5) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
    faces = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    return Mesh(
        vertices=corners * np.array(size),
        counts=np.full(6, 4),
        indices=np.array(faces).ravel(),
        parts=np.full(6, NONE, "i4"),
        st=np.tile([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)], (6, 1)),
        st_rate=FACE_VARYING,
        smooth=False,
    )


def triangulate(mesh: Mesh) -> np.ndarray:
    """(n,) TRIANGLE of all faces with three or more corners, without rows.

    Convex quads are cut along a diagonal, larger or concave faces by ears (`cut_polygon`).
    """
    corners: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for n in np.unique(mesh.counts).tolist():
        which = np.flatnonzero(mesh.counts == n)
        if n == 3:
            corners.append(mesh.starts[which][:, None] + np.arange(3))
            faces.append(which)
        elif n == 4:
            _cut_quads(mesh, which, corners, faces)
        elif n > 4:
            for face in which.tolist():
                start = mesh.starts[face]
                cut = cut_polygon(mesh.vertices[mesh.indices[start : start + n]])
                corners.append(start + cut)
                faces.append(np.full(len(cut), face))
    corner = np.concatenate(corners) if corners else np.zeros((0, 3), "i8")
    owner = np.concatenate(faces) if faces else np.zeros(0, "i8")
    order = np.argsort(owner, kind="stable")
    triangles = np.zeros(len(corner), TRIANGLE)
    triangles["corner"] = corner[order]
    triangles["v"] = mesh.indices[corner[order]]
    triangles["face"] = owner[order]
    return triangles


def _cut_quads(mesh: Mesh, which: np.ndarray, corners: list[np.ndarray], faces: list[np.ndarray]) -> None:
    """From corner 0 to 2, unless a concave corner lies at 1 or 3."""
    start = mesh.starts[which]
    p = mesh.vertices[mesh.indices[start[:, None] + np.arange(4)]]
    first = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    second = np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 0])
    bent = (first * second).sum(axis=1) < 0.0
    for chosen, cuts in ((~bent, ((0, 1, 2), (0, 2, 3))), (bent, ((1, 2, 3), (1, 3, 0)))):
        for cut in cuts:
            corners.append(start[chosen][:, None] + np.array(cut))
            faces.append(which[chosen])


def smooth_normals(vertices: np.ndarray, mesh: Mesh) -> np.ndarray:
    """(n, 3) unit normals at the vertices: means of the adjoining faces, weighted by area. vertices: world space."""
    p = vertices[mesh.indices]
    following = np.arange(1, len(p) + 1)
    filled = mesh.counts > 0
    following[(mesh.starts + mesh.counts - 1)[filled]] = mesh.starts[filled]
    origin = np.repeat(p[mesh.starts[filled]], mesh.counts[filled], axis=0)
    face = np.add.reduceat(np.cross(p - origin, p[following] - origin), mesh.starts[filled], axis=0)
    corner = np.repeat(face, mesh.counts[filled], axis=0)
    normals = np.stack([np.bincount(mesh.indices, corner[:, axis], len(vertices)) for axis in range(3)], axis=1)
    sizes = lengths(normals)[:, None]
    unit: np.ndarray = normals / np.where(sizes > 0.0, sizes, 1.0)
    return unit
