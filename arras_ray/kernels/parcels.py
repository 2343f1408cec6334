"""A RenderScene as one record: how kernels reach its arrays, and who keeps them alive meanwhile."""

from __future__ import annotations

import ctypes

import numpy as np

from arras_ray.kernels.config import DISABLE_JIT, kernel, numba
from arras_ray.kernels.embree import RAY_WORDS, SceneBVH
from arras_ray.kernels.layout import (
    ASSIGNMENT,
    ATTRIBUTE,
    GEOMETRY,
    LIGHT,
    MAP,
    MATERIAL,
    PATH_VERTEX,
    SCENE,
    TRIANGLE,
    RenderScene,
)

ARRAYS = RenderScene._fields[2:]

if DISABLE_JIT:

    def view(address, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size == 0:
            return np.zeros(shape, dtype).view(np.recarray)
        array = np.frombuffer((ctypes.c_char * size).from_address(int(address)), dtype).reshape(shape)
        return array.view(np.recarray) if array.dtype.names else array

else:

    @numba.extending.intrinsic
    def _pointer(typing_context, address):
        def build(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return numba.types.voidptr(address), build

    @kernel
    def view(address, shape, dtype):
        """The array of `shape` at an address. Its owner must outlive the call."""
        return numba.carray(_pointer(address), shape, dtype)


@kernel
def geometries_of(scene):
    return view(scene.geometries, (scene.n_geometries,), GEOMETRY)


@kernel
def triangles_of(scene):
    return view(scene.triangles, (scene.n_triangles,), TRIANGLE)


@kernel
def points_of(scene):
    return view(scene.points, (scene.n_points, 3), np.float32)


@kernel
def attributes_of(scene):
    return view(scene.attributes, (scene.n_attributes,), ATTRIBUTE)


@kernel
def assignments_of(scene):
    return view(scene.assignments, (scene.n_assignments,), ASSIGNMENT)


@kernel
def materials_of(scene):
    return view(scene.materials, (scene.n_materials,), MATERIAL)


@kernel
def maps_of(scene):
    return view(scene.maps, (scene.n_maps,), MAP)


@kernel
def lights_of(scene):
    return view(scene.lights, (scene.n_lights,), LIGHT)


@kernel
def light_ids_of(scene):
    return view(scene.light_ids, (scene.n_light_ids,), np.int32)


@kernel
def camera_lights_of(scene):
    return view(scene.camera_lights, (scene.n_camera_lights,), np.int32)


@kernel
def ray_floats(ray):
    """The ray record at an address, as float32."""
    return view(ray, (RAY_WORDS,), np.float32)


@kernel
def ray_words(ray):
    """The ray record at an address, as uint32."""
    return view(ray, (RAY_WORDS,), np.uint32)


@kernel
def log_of(log):
    """The path story at an address; its first record counts the lines."""
    return view(log, (LOG_LINES,), PATH_VERTEX)


LOG_LINES = 4096


class Parcel:
    """What an entry kernel is called with: `record`, (1,) SCENE, over arrays this object keeps alive.

    threads: how many build the BVH.
    """

    def __init__(self, scene: RenderScene, threads: int = 1) -> None:
        for name in RenderScene._fields:
            array = getattr(scene, name)
            if not array.flags.c_contiguous:
                raise ValueError(f"RenderScene.{name} is not contiguous")
        self.bvh = SceneBVH(scene, threads)
        self.record = np.zeros(1, SCENE)
        self.record["bvh"] = self.bvh.handle
        if DISABLE_JIT:
            self.record = self.record.view(np.recarray)  # kernels name fields as attributes
        self.show(scene)

    def show(self, scene: RenderScene) -> None:
        """Go on with other arrays; those of geometry must be the same. Kernels must not be running."""
        self.scene = scene
        self.record["settings"] = scene.settings[0]
        self.record["camera"] = scene.camera[0]
        for name in ARRAYS:
            self.record[name] = getattr(scene, name).ctypes.data
            self.record["n_" + name] = len(getattr(scene, name))

    def close(self) -> None:
        self.bvh.close()
