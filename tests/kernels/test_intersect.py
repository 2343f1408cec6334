"""Rays through Embree against brute force: triangles, clipped spheres under any transform, ray masks, surfaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from naive import sphere_distances, triangle_distances
from small_scenes import SmallScene, scaling, translate, turn_x

from arras_ray.flatten import flatten
from arras_ray.kernels import intersect
from arras_ray.kernels.config import DISABLE_JIT
from arras_ray.kernels.embree import RayRecord
from arras_ray.kernels.layout import NONE, SEE_CAMERA, SEE_DIFFUSE, SEE_GLOSSY, SEE_MIRROR, SEE_SHADOW, SPHERE
from arras_ray.kernels.parcels import Parcel, ray_words

f4 = np.float32
N = 60 if DISABLE_JIT else 1500
EVERYTHING = 0xFFFFFFFF
INF = f4(np.inf)


def as_tuple(v: object) -> tuple[np.float32, ...]:
    return tuple(f4(x) for x in v)  # type: ignore[attr-defined]


@dataclass
class World:
    """A scene's parcel with a ray record."""

    parcel: Parcel
    ray: RayRecord

    @property
    def scene(self) -> np.record:
        return self.parcel.record.view(np.recarray)[0]

    def closest(self, o: np.ndarray, d: np.ndarray, mask: int = EVERYTHING, t_near: float = 0.0,
                t_far: float = np.inf) -> float:  # fmt: skip
        return float(
            intersect.closest_hit(self.scene, self.ray.address, as_tuple(o), as_tuple(d), f4(t_near), f4(t_far), mask)
        )

    def any(self, o: np.ndarray, d: np.ndarray, t_far: float, mask: int = EVERYTHING) -> bool:
        return bool(intersect.any_hit(self.scene, self.ray.address, as_tuple(o), as_tuple(d), f4(t_far), mask))

    def surface(self, o: np.ndarray, d: np.ndarray, t: float) -> tuple:
        return intersect.surface_at(self.scene, self.ray.address, as_tuple(o), as_tuple(d), f4(t))


def world_of(small: SmallScene) -> World:
    return World(Parcel(flatten(small.context).scene), RayRecord())


def rays(seed: int, n: int = N, spread: float = 3.0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        o = rng.uniform(-spread, spread, 3).astype("f4").astype("f8")
        d = rng.uniform(-1.0, 1.0, 3) - o
        yield o, (d / np.linalg.norm(d)).astype("f4").astype("f8")


def soup(n: int = 60) -> tuple[SmallScene, np.ndarray]:
    """n triangles anywhere in a box, as two meshes."""
    triangles = np.random.default_rng(1).uniform(-2.0, 2.0, (n, 3, 3)).astype("f4")
    small = SmallScene()
    material = small.matte("grey", 0.5)
    for name, part in (("first", triangles[: n // 3]), ("second", triangles[n // 3 :])):
        mesh = small.make(
            "RdlMeshGeometry",
            name,
            is_subd=False,
            smooth_normal=False,
            vertex_list_0=part.reshape(-1, 3),
            face_vertex_count=[3] * len(part),
            vertices_by_index=list(range(3 * len(part))),
        )
        small.put(mesh, material)
    return small, triangles.astype("f8")


def test_triangles_against_brute_force() -> None:
    small, triangles = soup()
    world = world_of(small)
    hits = 0
    for o, d in rays(2):
        distances = triangle_distances(triangles, o, d)
        expected = distances.min()
        t = world.closest(o, d)
        if np.isinf(t) != np.isinf(expected):
            # a triangle seen edge-on or hit on its rim: float32 may go either way
            near = triangle_distances(triangles + 1e-5, o, d).min(), triangle_distances(triangles - 1e-5, o, d).min()
            assert np.isinf(near).any()
            continue
        if np.isinf(expected):
            continue
        hits += 1
        assert t == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert world.any(o, d, expected * 1.001)
        assert not world.any(o, d, expected * 0.999)
        # any hit has spoiled the record: ask again for the surface
        world.closest(o, d)
        g, index, _, u, v, p, ng, ns, error = world.surface(o, d, t)
        triangle = triangles[index]
        assert index == distances.argmin()
        assert g == (0 if index < 20 else 1)
        assert np.array(p) == pytest.approx(o + expected * d, abs=2e-5)
        assert np.array(p) == pytest.approx((1 - u - v) * triangle[0] + u * triangle[1] + v * triangle[2], abs=2e-5)
        normal = np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0])
        normal /= np.linalg.norm(normal)
        normal *= -np.sign(normal @ d)
        assert np.array(ng) == pytest.approx(normal, abs=1e-3)
        assert ns == ng
        assert 0.0 < error < 1e-4
    assert hits > N / 4


def test_near_and_far_limit_hits() -> None:
    small = SmallScene()
    small.put(small.wall(), small.matte("grey", 0.5))
    world = world_of(small)
    o, d = np.array([0.1, 0.2, 5.0]), np.array([0.0, 0.0, -1.0])
    assert world.closest(o, d) == 5.0
    assert world.closest(o, d, t_near=5.5) == np.inf
    assert world.closest(o, d, t_far=4.5) == np.inf
    assert world.closest(o, -d) == np.inf


TRANSFORMS = {
    "plain": np.eye(4),
    "moved": translate(0.5, -0.3, 0.2),
    "stretched and turned": scaling(1.5, 0.5, 0.8) @ turn_x(40.0) @ translate(0.2, 0.1, -0.3),
    "mirrored": scaling(-1.0, 1.2, 0.7) @ turn_x(-70.0),
}
CLIPS = {
    "whole": {},
    "belt": {"zmin": -0.5, "zmax": 0.3},
    "cap": {"zmin": 0.4},
    "quarter": {"phi_max": 90.0},
    "three quarters": {"phi_max": 270.0},
    "wedge of a belt": {"zmin": -0.5, "zmax": 0.5, "phi_max": 200.0},
}


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
@pytest.mark.parametrize("matrix", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_spheres_against_their_twin(matrix: np.ndarray, clip: dict[str, float]) -> None:
    small = SmallScene()
    small.put(small.sphere("ball", 1.2, node_xform=matrix, **clip), small.matte("grey", 0.5))
    world = world_of(small)
    shape = {"zmin": -1.2, "zmax": 1.2, "phi_max": 360.0, **clip}
    hits = close_calls = 0
    for o, d in rays(3, N // 3, 2.0):
        expected = sphere_distances(matrix, 1.2, o=o, d=d, **shape)
        t = world.closest(o, d)
        if not expected or np.isinf(t) or abs(t - expected[0]) > 1e-3:
            if expected or np.isfinite(t):
                wider = {"zmin": shape["zmin"] - 1e-4, "zmax": shape["zmax"] + 1e-4, "phi_max": shape["phi_max"] + 0.01}
                again = sphere_distances(matrix, 1.2 * (1 + 1e-6), o=o, d=d, **wider)
                assert again != pytest.approx(expected, rel=1e-3)
                close_calls += 1
            continue
        hits += 1
        assert t == pytest.approx(expected[0], rel=1e-4, abs=1e-4)
        assert world.any(o, d, expected[0] * 1.01)
        assert not world.any(o, d, expected[0] * 0.99)
        world.closest(o, d)
        _, index, _, _, _, p, ng, ns, _ = world.surface(o, d, t)
        assert index == NONE
        assert ns == ng
        inverse = np.linalg.inv(matrix)
        q = np.append(p, 1.0) @ inverse
        assert np.linalg.norm(q[:3]) == pytest.approx(1.2, abs=1e-5)
        normal = inverse[:3, :3] @ q[:3]
        normal /= np.linalg.norm(normal)
        assert np.abs(np.array(ng) @ normal) == pytest.approx(1.0, abs=1e-5)
        assert np.dot(ng, d) <= 0.0
    assert hits >= N // 40
    assert close_calls <= 3


def test_rays_that_leave_a_surface_do_not_meet_it_again() -> None:
    """From points of a large sphere far from the origin, towards the outside and through the inside."""
    small = SmallScene()
    centre = np.array([1000.0, -500.0, 2000.0])
    small.put(small.sphere("ball", 10.0, node_xform=translate(*centre)), small.matte("grey", 0.5))
    world = world_of(small)
    rng = np.random.default_rng(4)
    for _ in range(N // 5):
        n = rng.normal(size=3)
        n /= np.linalg.norm(n)
        o, d = centre + 30.0 * n, -n
        t = world.closest(o, d)
        _, _, _, _, _, p, ng, _, error = world.surface(o, d, t)
        out = rng.normal(size=3)
        out /= np.linalg.norm(out)
        out *= np.sign(out @ n)
        start = intersect.spawn(as_tuple(p), as_tuple(ng), f4(error), as_tuple(out))
        assert world.closest(np.array(start), out) == np.inf
        inside = intersect.spawn(as_tuple(p), as_tuple(ng), f4(error), as_tuple(-n))
        assert world.closest(np.array(inside), -n) == pytest.approx(20.0, rel=1e-3)


VISIBLE = {
    "visible_in_camera": SEE_CAMERA,
    "visible_shadow": SEE_SHADOW,
    "visible_diffuse_reflection": SEE_DIFFUSE,
    "visible_glossy_reflection": SEE_GLOSSY,
    "visible_mirror_reflection": SEE_MIRROR,
}


@pytest.mark.parametrize("kind", ["mesh", "sphere"])
@pytest.mark.parametrize("hidden", VISIBLE)
def test_ray_masks(kind: str, hidden: str) -> None:
    small = SmallScene()
    shape = small.wall() if kind == "mesh" else small.sphere("ball")
    shape.set(hidden, False)
    small.put(shape, small.matte("grey", 0.5))
    world = world_of(small)
    o, d = np.array([0.1, 0.2, 5.0]), np.array([0.0, 0.0, -1.0])
    for name, bit in VISIBLE.items():
        assert np.isfinite(world.closest(o, d, bit)) == (name != hidden)
        assert world.any(o, d, 100.0, bit) == (name != hidden)


def test_ids_of_meshes_and_spheres_side_by_side() -> None:
    small = SmallScene()
    grey = small.matte("grey", 0.5)
    for i in range(6):
        at = translate(10.0 * i, 0.0, 0.0)
        if i % 2:
            small.put(small.make("BoxGeometry", f"box {i}", node_xform=at), grey)
        else:
            small.put(small.sphere(f"ball {i}", 0.5, node_xform=at), grey)
    world = world_of(small)
    for i in range(6):
        o, d = np.array([10.0 * i + 0.1, 0.05, 5.0]), np.array([0.0, 0.0, -1.0])
        t = world.closest(o, d)
        assert int(ray_words(world.ray.address)[18]) == i
        g, index, row, *_ = world.surface(o, d, t)
        assert (g, row) == (i, i)
        assert (index == NONE) == (world.parcel.scene.geometries[i]["kind"] == SPHERE)
