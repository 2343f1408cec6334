"""The camera into its record. MoonRay's: focal and film width in mm, looking down -z, y up, row-vector matrix."""

from __future__ import annotations

import numpy as np

from arras_ray.errors import SceneError
from arras_ray.flatten.affine import determinant, length, lengths
from arras_ray.flatten.report import Report
from arras_ray.kernels.layout import CAMERA
from arras_ray.scene import SceneContext


def orthonormal_axes(matrix: np.ndarray) -> np.ndarray:
    """The rotation nearest to the z axis of a (4, 4) matrix: (3, 3) unit rows, right-handed. Scale and shear go."""
    z = matrix[2, :3] / length(matrix[2, :3])
    x = np.cross(matrix[1, :3], z)
    x /= length(x)
    return np.array([x, np.cross(z, x), z])


def camera_record(context: SceneContext, width: int, height: int, report: Report) -> np.ndarray:
    """(1,) CAMERA. Raises SceneError without a camera, for planes that contradict and for kinds not drawn yet."""
    camera = context.camera
    if camera is None:
        raise SceneError("the scene has no camera", hint='add PerspectiveCamera("camera") { ... }')
    if camera.scene_class.name != "PerspectiveCamera":
        raise SceneError(
            f"the camera {camera.name} is a {camera.scene_class.name}; only PerspectiveCamera is drawn so far",
            hint="set the scene variable camera to a PerspectiveCamera",
            object=camera.name,
        )
    near, far = camera.get("near"), camera.get("far")
    if near < 0.0 or far <= near:
        raise SceneError(
            f"the camera {camera.name} has near {near} and far {far}",
            hint="near has to be 0 or more, and far above near",
            object=camera.name,
        )
    focal, film = camera.get("focal"), camera.get("film_width_aperture")
    if not (focal > 0.0 and film > 0.0):
        raise SceneError(
            f"the camera {camera.name} has focal {focal} and film_width_aperture {film}",
            hint="both have to be above 0",
            object=camera.name,
        )
    matrix = camera.get("node_xform")
    scales = lengths(matrix[:3, :3])
    if not np.isfinite(matrix).all() or abs(determinant(matrix)) < 1e-12:
        raise SceneError(
            f"the camera {camera.name} has a node_xform that cannot be inverted",
            hint="a rotation and a translation place a camera",
            object=camera.name,
        )
    if np.abs(scales - 1.0).max() > 1e-3:
        report.note("scale in a camera's node_xform is left out", camera.name)
    if camera.get("dof") and context.variables.get("enable_dof"):
        report.note("depth of field is not drawn yet", camera.name)
    if camera.get("stereo_view") != 0:
        report.note("stereo views are drawn as the centre view", camera.name)

    aspect = camera.get("pixel_aspect_ratio") or 1.0
    record = np.zeros(1, CAMERA)
    record["matrix"][0, :3] = orthonormal_axes(matrix)
    record["matrix"][0, 3] = matrix[3, :3]
    record["half_width"] = film / (2.0 * focal)
    record["half_height"] = film / (2.0 * focal) * (height / width) / aspect
    record["x"] = camera.get("horizontal_film_offset") / focal
    record["y"] = camera.get("vertical_film_offset") / focal / aspect
    record["near"] = near
    record["far"] = far
    return record
