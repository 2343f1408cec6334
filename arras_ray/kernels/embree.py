"""Embree 4: the library, its ray record, devices and scenes. The one module that talks to it.

The shared library comes with the `embreex` wheel; elsewhere a system `libembree4` is used. Kernels call
`rtc_intersect` and `rtc_occluded` with addresses of a 64-byte aligned record of their thread. Without the compiler
(NUMBA_DISABLE_JIT=1) the same two names go through ctypes.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from arras_ray.errors import RenderError
from arras_ray.kernels.config import DISABLE_JIT, numba
from arras_ray.kernels.layout import GEOMETRY, MESH, RenderScene

# The ray record (RTCRayHit): 4-byte words.
ORG, TNEAR, DIR, TIME, TFAR, MASK, RAY_ID, FLAGS = 0, 3, 4, 7, 8, 9, 10, 11
NG, HIT_U, HIT_V, PRIM_ID, GEOM_ID, INST_ID, INST_PRIM_ID = 12, 15, 16, 17, 18, 19, 20
RAY_WORDS = 32
INVALID = np.uint32(0xFFFFFFFF)

_TRIANGLE, _USER = 0, 120
_INDEX, _VERTEX = 0, 1
_UINT3, _FLOAT3 = 0x5003, 0x9003
_SCENE_ROBUST = 0
_QUALITY_MEDIUM = 1

ISA = "avx2"
"""One instruction set for all machines of a session: Embree's own choice differs from machine to machine, and with it
the last bits of a picture. avx2 costs nothing measurable against avx512."""


def library_path() -> str:
    """The file of libembree4: from the embreex wheel, else the system's."""
    try:
        files = metadata.files("embreex") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if "embree4" in file.name and (".so" in file.name or file.suffix in (".dylib", ".dll")):
            return str(Path(str(file.locate())).resolve())
    found = ctypes.util.find_library("embree4")
    if found is None:
        raise RenderError("Embree 4 was not found", hint="install the embreex package or a system libembree4")
    return found


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(library_path())
    pointer, u32, size = ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t
    for name, result, arguments in [
        ("rtcNewDevice", pointer, [ctypes.c_char_p]),
        ("rtcReleaseDevice", None, [pointer]),
        ("rtcGetDeviceError", ctypes.c_int, [pointer]),
        ("rtcNewScene", pointer, [pointer]),
        ("rtcSetSceneFlags", None, [pointer, ctypes.c_int]),
        ("rtcSetSceneBuildQuality", None, [pointer, ctypes.c_int]),
        ("rtcCommitScene", None, [pointer]),
        ("rtcReleaseScene", None, [pointer]),
        ("rtcNewGeometry", pointer, [pointer, ctypes.c_int]),
        ("rtcSetGeometryMask", None, [pointer, u32]),
        ("rtcSetGeometryBuildQuality", None, [pointer, ctypes.c_int]),
        ("rtcSetSharedGeometryBuffer", None, [pointer, ctypes.c_int, u32, ctypes.c_int, pointer, size, size, size]),
        ("rtcSetGeometryUserPrimitiveCount", None, [pointer, u32]),
        ("rtcSetGeometryUserData", None, [pointer, pointer]),
        ("rtcSetGeometryBoundsFunction", None, [pointer, pointer, pointer]),
        ("rtcSetGeometryIntersectFunction", None, [pointer, pointer]),
        ("rtcSetGeometryOccludedFunction", None, [pointer, pointer]),
        ("rtcCommitGeometry", None, [pointer]),
        ("rtcAttachGeometryByID", None, [pointer, pointer, u32]),
        ("rtcReleaseGeometry", None, [pointer]),
        ("rtcIntersect1", None, [pointer, pointer, pointer]),
        ("rtcOccluded1", None, [pointer, pointer, pointer]),
    ]:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


if DISABLE_JIT:

    def rtc_intersect(scene, ray, arguments):
        _library().rtcIntersect1(int(scene), int(ray), None)

    def rtc_occluded(scene, ray, arguments):
        _library().rtcOccluded1(int(scene), int(ray), None)

else:
    import llvmlite.binding

    llvmlite.binding.load_library_permanently(library_path())
    _ADDRESS = numba.types.uintp
    _CALL = numba.types.void(_ADDRESS, _ADDRESS, _ADDRESS)
    rtc_intersect = numba.types.ExternalFunction("rtcIntersect1", _CALL)
    rtc_occluded = numba.types.ExternalFunction("rtcOccluded1", _CALL)


class RayRecord:
    """A thread's ray record: RAY_WORDS words at `address`, 64-byte aligned."""

    def __init__(self) -> None:
        self._memory = np.zeros(RAY_WORDS * 4 + 64, np.uint8)
        self.address = np.uint64(self._memory.ctypes.data + -self._memory.ctypes.data % 64)


class SceneBVH:
    """Embree's scene over a RenderScene's geometry, whose arrays it reads in place and keeps alive.

    `handle` is what kernels pass to Embree. threads: how many build it. Raises RenderError with Embree's code.
    """

    def __init__(self, scene: RenderScene, threads: int = 1, isa: str = ISA) -> None:
        library = _library()
        self._scene = scene
        flags = f"threads={threads},isa={isa},set_affinity=0".encode()
        self._device = library.rtcNewDevice(flags)
        if not self._device:
            raise RenderError(f"Embree could not start with isa={isa} (error {library.rtcGetDeviceError(None)})")
        self.handle = int(library.rtcNewScene(self._device))
        library.rtcSetSceneFlags(self.handle, _SCENE_ROBUST)
        library.rtcSetSceneBuildQuality(self.handle, _QUALITY_MEDIUM)
        for index in range(len(scene.geometries)):
            self._attach(index)
        library.rtcCommitScene(self.handle)
        error = library.rtcGetDeviceError(self._device)
        if error:
            raise RenderError(f"Embree could not build the scene (error {error})")

    def _attach(self, index: int) -> None:
        library, scene = _library(), self._scene
        record = scene.geometries[index]
        if record["kind"] == MESH:
            geometry = library.rtcNewGeometry(self._device, _TRIANGLE)
            self._share_mesh(geometry, index)
        else:
            from arras_ray.kernels import quadric  # compiled on first use: scenes without spheres do not pay

            geometry = library.rtcNewGeometry(self._device, _USER)
            library.rtcSetGeometryUserPrimitiveCount(geometry, 1)
            library.rtcSetGeometryUserData(geometry, scene.geometries.ctypes.data + index * GEOMETRY.itemsize)
            library.rtcSetGeometryBoundsFunction(geometry, quadric.bounds_address(), None)
            library.rtcSetGeometryIntersectFunction(geometry, quadric.intersect_address())
            library.rtcSetGeometryOccludedFunction(geometry, quadric.occluded_address())
        library.rtcSetGeometryMask(geometry, int(record["mask"]))
        library.rtcSetGeometryBuildQuality(geometry, _QUALITY_MEDIUM)
        library.rtcCommitGeometry(geometry)
        library.rtcAttachGeometryByID(self.handle, geometry, index)
        library.rtcReleaseGeometry(geometry)

    def _share_mesh(self, geometry: int, index: int) -> None:
        library, scene = _library(), self._scene
        first = int(scene.geometries[index]["first_triangle"])
        later = scene.geometries[index + 1 :]
        meshes = later[later["kind"] == MESH]
        end = int(meshes[0]["first_triangle"]) if len(meshes) else len(scene.triangles)
        vertex = int(scene.geometries[index]["first_vertex"])
        triangles = scene.triangles[first:end]
        n_vertices = int(triangles["v"].max()) + 1 if len(triangles) else 0
        stride = scene.triangles.dtype.itemsize
        library.rtcSetSharedGeometryBuffer(
            geometry, _INDEX, 0, _UINT3, scene.triangles.ctypes.data, first * stride, stride, end - first
        )
        library.rtcSetSharedGeometryBuffer(
            geometry, _VERTEX, 0, _FLOAT3, scene.points.ctypes.data, vertex * 12, 12, n_vertices
        )

    def close(self) -> None:
        """Give Embree's memory back. Kernels must not be running."""
        if self.handle:
            _library().rtcReleaseScene(self.handle)
            _library().rtcReleaseDevice(self._device)
            self.handle = 0

    def __del__(self) -> None:
        if getattr(self, "handle", 0) and not sys.is_finalizing():
            self.close()
