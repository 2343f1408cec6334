"""Small scenes and pictures of them, for tests that render: built through SceneContext, rendered by the Engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from arras_ray.engine import Engine, from_context
from arras_ray.film import Film
from arras_ray.messages import FULL_MASK, UNIT, tile_grid
from arras_ray.scene import Layer, SceneContext, SceneObject

PLAIN = {
    "image_width": 16,
    "image_height": 16,
    "pixel_filter": 0,
    "pixel_filter_width": 1.0,
    "light_samples": 1,
    "bsdf_samples": 1,
    "sample_clamping_value": 0.0,
    "russian_roulette_threshold": 0.0,
}
"""Scene variables that make a picture simple to reckon with: box filter, one sample of each kind, nothing clamped."""

QUAD = {"face_vertex_count": [4], "vertices_by_index": [0, 1, 2, 3], "is_subd": False}


def translate(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[3, :3] = x, y, z
    return matrix


def scaling(x: float, y: float, z: float) -> np.ndarray:
    return np.diag([x, y, z, 1.0])


def turn_x(degrees: float) -> np.ndarray:
    """Rotation about x, row vectors: y goes to z for positive angles."""
    a = np.radians(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]
    return matrix


class SmallScene:
    """A context with camera (at `eye`, looking down -z), one layer and one light set named `lights`."""

    def __init__(self, eye: Sequence[float] = (0.0, 0.0, 5.0), focal: float = 30.0, **variables: Any) -> None:
        self.context = SceneContext()
        for name, value in {**PLAIN, **variables}.items():
            self.context.variables.set(name, value)
        self.camera = self.make(
            "PerspectiveCamera", "camera", node_xform=translate(*eye), focal=focal, near=1e-3, far=1e5
        )
        layer = self.context.create("Layer", "layer")
        assert isinstance(layer, Layer)
        self.layer = layer
        self.lights = self.context.create("LightSet", "lights")

    def make(self, class_name: str, name: str, **attributes: Any) -> SceneObject:
        made = self.context.create(class_name, name)
        for attribute, value in attributes.items():
            made.set(attribute, value)
        return made

    def matte(self, name: str, albedo: Sequence[float] | float, **attributes: Any) -> SceneObject:
        """A Lambert surface."""
        color = (albedo,) * 3 if isinstance(albedo, float | int) else albedo
        return self.make("DwaBaseMaterial", name, albedo=color, show_specular=False, **attributes)

    def light(self, class_name: str, name: str = "light", **attributes: Any) -> SceneObject:
        """A light of the set `lights`; plain radiance unless told otherwise."""
        if class_name != "EnvLight":
            attributes = {"normalized": False, "apply_scene_scale": False, **attributes}
        made = self.make(class_name, name, **attributes)
        self.lights.set("lights", [*self.lights.get("lights"), made])
        return made

    def put(
        self, geometry: SceneObject, material: SceneObject, lights: SceneObject | None = None, part: str = ""
    ) -> SceneObject:
        """A row of the layer."""
        self.layer.assign(geometry, part, [material, self.lights if lights is None else lights])
        return geometry

    def quad(self, name: str, corners: Iterable[Sequence[float]], **attributes: Any) -> SceneObject:
        return self.make("RdlMeshGeometry", name, vertex_list_0=np.array(list(corners)), **QUAD, **attributes)

    def wall(self, name: str = "wall", half: float = 50.0, z: float = 0.0, **attributes: Any) -> SceneObject:
        """A square facing +z."""
        corners = [(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)]
        return self.quad(name, corners, **attributes)

    def sphere(self, name: str, radius: float = 1.0, **attributes: Any) -> SceneObject:
        whole = {"zmin": -radius, "zmax": radius}
        return self.make("SphereGeometry", name, radius=radius, **{**whole, **attributes})

    def engine(self, threads: int = 1, **options: Any) -> Engine:
        return from_context(self.context, options, threads)

    def render(self, spp: int, seed: int = 0) -> np.ndarray:
        """(h, w, 4) f4 mean of spp samples, bottom-up."""
        engine = self.engine(seed=seed)
        try:
            return picture(engine, spp)
        finally:
            engine.close()

    def renders(self, spp: int, seeds: int) -> np.ndarray:
        """(seeds, h, w, 4): pictures independent of each other."""
        return np.stack([self.render(spp, seed) for seed in range(1, seeds + 1)])


def all_units(width: int, height: int, begin: int, end: int, mask: int = FULL_MASK) -> np.ndarray:
    """(tiles,) UNIT: one unit a tile."""
    across, up = tile_grid(width, height)
    units = np.zeros(across * up, UNIT)
    units["id"] = units["tile"] = np.arange(across * up)
    units["begin"], units["end"], units["mask"] = begin, end, mask
    return units


def go() -> np.ndarray:
    """A cancel word nobody sets."""
    return np.zeros(1, "u4")


def picture(engine: Engine, spp: int) -> np.ndarray:
    """(h, w, 4) f4 mean of samples [0, spp), bottom-up. Every sample has to be finite."""
    done, sums, _, bad, first = engine.render(all_units(engine.width, engine.height, 0, spp), go())
    assert bad == 0, first
    film = Film(engine.width, engine.height)
    film.add(done, sums)
    image: np.ndarray = film.image()
    return image


def mean_and_error(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean RGB over (seeds, h, w, 4) pictures, and its standard error measured between the seeds: two (3,)."""
    means = pictures[..., :3].astype("f8").mean(axis=(1, 2))
    return means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(len(means))


def assert_mean(pictures: np.ndarray, expected: Sequence[float] | float, floor: float = 1e-5) -> None:
    """The pictures' mean is `expected` within 4.5 standard errors (few seeds: heavy tails), or `floor` of it."""
    mean, error = mean_and_error(pictures)
    wanted = np.broadcast_to(np.asarray(expected, "f8"), 3)
    assert (np.abs(mean - wanted) <= 4.5 * error + floor * np.abs(wanted)).all(), (mean, error, wanted)
    assert (error <= 0.02 * np.maximum(np.abs(wanted), 1e-3)).all(), f"too noisy to tell anything: {error} of {wanted}"
