"""Geometry into triangles, points and records: meshes as polygons, boxes as meshes, spheres as they are.

Meshes are taken to world space. Faces whose part the layer gives no material are left out, as MoonRay does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arras_ray.flatten.affine import cofactors, determinant, inverse, lengths, transform
from arras_ray.flatten.attributes import PointStore, attribute_values, rate_of, user_data
from arras_ray.flatten.mesh import Mesh, MeshError, box_mesh, rdl_mesh, smooth_normals, triangulate
from arras_ray.flatten.report import Report
from arras_ray.kernels.layout import (
    ATTRIBUTE,
    GEOMETRY,
    MESH,
    NONE,
    SEE_CAMERA,
    SEE_DIFFUSE,
    SEE_GLOSSY,
    SEE_MIRROR,
    SEE_SHADOW,
    SPHERE,
    TRIANGLE,
    VERTEX,
)
from arras_ray.scene import Assignment, Layer, SceneObject

RowOf = Callable[[Assignment, int], int]

VISIBILITY = {
    "visible_in_camera": SEE_CAMERA,
    "visible_shadow": SEE_SHADOW,
    "visible_diffuse_reflection": SEE_DIFFUSE,
    "visible_glossy_reflection": SEE_GLOSSY,
    "visible_mirror_reflection": SEE_MIRROR,
}


FARTHEST = 1e18
"""Largest coordinate. Embree leaves out what is further than about 1.8e18 without a word."""


def world_normals(normals: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n, 3) unit normals by the transposed inverse of a (4, 4) matrix, up to its sign; cofactors, which a matrix that
    flattens space has too. What has no direction stays zero."""
    turned = transform(normals, cofactors(matrix))
    sizes = lengths(turned)[:, None]
    unit: np.ndarray = turned / np.where(sizes > 0.0, sizes, 1.0)
    return unit


class Geometries:
    """Collects geometry row by row of the layer."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._records: list[np.ndarray] = []
        self._triangles: list[np.ndarray] = []
        self._n_triangles = 0
        self._attributes: list[tuple[tuple[str, str], int, int]] = []
        self.points = PointStore()
        self.names: list[str] = []
        self.largest_values: dict[tuple[str, str], float] = {}
        """The largest finite value of each primitive attribute, by (name, type)."""

    def add(self, geometry: SceneObject, layer: Layer, row_of: RowOf) -> None:
        """Add one geometry; one that cannot be drawn is told and left out."""
        kind = geometry.scene_class.name
        try:
            if kind == "RdlMeshGeometry":
                if geometry.get("is_subd"):
                    self.report.note("a subdivision mesh is drawn as its control cage so far", geometry.name)
                self._add_mesh(geometry, rdl_mesh(geometry), layer, row_of)
            elif kind == "BoxGeometry":
                self._add_mesh(geometry, box_mesh(geometry.get("size")), layer, row_of)
            elif kind == "SphereGeometry":
                self._add_sphere(geometry, layer, row_of)
            else:
                self.report.note(f"{kind} is not drawn yet and left out", geometry.name)
        except MeshError as error:
            self.report.note(f"a geometry is left out because {error}", geometry.name)

    def records(self) -> np.ndarray:
        """(n,) GEOMETRY."""
        return np.concatenate(self._records) if self._records else np.zeros(0, GEOMETRY)

    def triangles(self) -> np.ndarray:
        """(n,) TRIANGLE, one geometry after the other; one more than is used, which Embree may read."""
        return np.concatenate([*self._triangles, np.zeros(1, TRIANGLE)])

    def attribute_records(self, keys: dict[tuple[str, str], int]) -> np.ndarray:
        """(n,) ATTRIBUTE. Attributes no map reads have key NONE."""
        rows = [(keys.get(key, NONE), rate, first) for key, rate, first in self._attributes]
        return np.array(rows, ATTRIBUTE)

    def _record(self, geometry: SceneObject) -> np.ndarray:
        record = np.zeros(1, GEOMETRY)
        record["id"] = len(self._records)
        record["first_normal"] = record["first_st"] = record["assignment"] = NONE
        for name, bit in VISIBILITY.items():
            record["mask"] |= bit if geometry.get(name) else 0
        if geometry.get("side_type") == 1:
            self.report.note("single-sided geometry is drawn two-sided so far", geometry.name)
        return record

    def _finish(self, geometry: SceneObject, record: np.ndarray) -> None:
        self._records.append(record)
        self.names.append(geometry.name)

    def _add_mesh(self, geometry: SceneObject, mesh: Mesh, layer: Layer, row_of: RowOf) -> None:
        rows = np.full(len(mesh.counts), NONE, "i4")
        numbers: dict[int, int] = {}
        for part in np.unique(mesh.parts).tolist():
            assignment = layer.lookup(geometry, mesh.part_names[part] if part != NONE else "")
            if assignment is not None and assignment.material is not None:
                numbers[part] = row_of(assignment, max(0, part))
        for part, row in numbers.items():
            rows[mesh.parts == part] = row
        triangles = triangulate(mesh)
        triangles["assignment"] = rows[triangles["face"]]
        triangles = triangles[triangles["assignment"] != NONE]
        if not len(triangles):
            return

        matrix = geometry.get("node_xform")
        if not np.isfinite(matrix).all():
            raise MeshError("its node_xform is not finite")
        vertices = transform(mesh.vertices, matrix) + matrix[3, :3]
        if np.abs(vertices).max() > FARTHEST:
            raise MeshError(f"a vertex is further than {FARTHEST:g} units away")
        record = self._record(geometry)
        record["kind"] = MESH
        record["first_triangle"] = self._n_triangles
        record["first_vertex"] = self.points.add(vertices)
        normals, rate = mesh.normals, mesh.normal_rate
        if normals is not None:
            normals = world_normals(normals, matrix)
        elif mesh.smooth:
            normals, rate = smooth_normals(vertices, mesh), VERTEX
        if normals is not None:
            record["first_normal"] = self.points.add(normals)
            record["normal_rate"] = rate
        if mesh.st is not None:
            record["first_st"] = self.points.add(np.pad(mesh.st, ((0, 0), (0, 1))))
            record["st_rate"] = mesh.st_rate
        record["first_attribute"] = len(self._attributes)
        self._add_attributes(geometry, mesh)
        record["n_attributes"] = len(self._attributes) - record["first_attribute"]
        self._triangles.append(triangles)
        self._n_triangles += len(triangles)
        self._finish(geometry, record)

    def _add_attributes(self, geometry: SceneObject, mesh: Mesh | None) -> None:
        if geometry.scene_class.find("primitive_attributes") is None:
            return
        for data in geometry.get("primitive_attributes"):
            if data is None or data.scene_class.name != "UserData":
                continue
            for key, values in user_data(data):
                rate = rate_of(data, len(values), mesh, self.report)
                if rate is not None:
                    first = self.points.add(attribute_values(values))
                    self._attributes.append((key, rate, first))
                    largest = float(values.max(initial=0.0, where=np.isfinite(values)))
                    self.largest_values[key] = max(largest, self.largest_values.get(key, 0.0))

    def _add_sphere(self, geometry: SceneObject, layer: Layer, row_of: RowOf) -> None:
        assignment = layer.lookup(geometry, "")
        radius = abs(geometry.get("radius"))
        if assignment is None or assignment.material is None or radius == 0.0:
            return
        matrix = geometry.get("node_xform")
        if not np.isfinite(matrix).all() or abs(determinant(matrix)) < 1e-30:
            raise MeshError("its node_xform cannot be inverted")
        if not np.abs(matrix).max() * max(1.0, radius) <= FARTHEST:
            raise MeshError(f"it reaches further than {FARTHEST:g} units")
        zmin, zmax = (min(max(geometry.get(name), -radius), radius) for name in ("zmin", "zmax"))
        phi = math.radians(min(max(geometry.get("phi_max"), 0.0), 360.0))
        record = self._record(geometry)
        record["kind"] = SPHERE
        record["assignment"] = row_of(assignment, 0)
        record["world"] = matrix[:, :3]
        record["object"] = inverse(matrix)
        record["radius"] = radius
        record["zmin"], record["zmax"] = min(zmin, zmax), max(zmin, zmax)
        record["phi_max"], record["phi_cos"], record["phi_sin"] = phi, math.cos(phi), math.sin(phi)
        record["first_attribute"] = len(self._attributes)
        self._add_attributes(geometry, None)
        record["n_attributes"] = len(self._attributes) - record["first_attribute"]
        self._finish(geometry, record)
