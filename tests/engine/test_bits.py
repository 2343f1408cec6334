"""The same bits, however the work is cut, on however many threads, with kernels fresh or cached, for any processor."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from small_scenes import SmallScene, all_units, go, picture, translate

from arras_ray.engine import Engine, load
from arras_ray.film import Film
from arras_ray.messages import FULL_MASK, RDLMessage
from arras_ray.unit_plan import UnitPlan

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT, SPP = 150, 70, 20


def mixed_scene() -> SmallScene:
    """Meshes, spheres, three kinds of lights, mirrors and rough metal."""
    small = SmallScene(
        image_width=WIDTH,
        image_height=HEIGHT,
        pixel_filter=1,
        pixel_filter_width=3.0,
        light_samples=2,
        bsdf_samples=2,
        russian_roulette_threshold=0.1,
        sample_clamping_value=10.0,
    )
    small.light("EnvLight", "sky", intensity=0.3)
    small.light("SphereLight", "lamp", radius=0.3, intensity=5.0, node_xform=translate(2.0, 2.0, 2.0))
    small.light("RectLight", "panel", intensity=2.0, node_xform=translate(-1.0, 1.0, 3.0))
    small.put(small.wall(z=-1.5), small.matte("grey", (0.5, 0.6, 0.7)))
    for i, roughness in enumerate((0.0, 0.2, 0.6)):
        metal = small.make("DwaBaseMaterial", f"metal {i}", metallic=0.5 * i, roughness=roughness)
        small.put(small.sphere(f"ball {i}", 0.7, node_xform=translate(1.6 * i - 1.6, 0.0, 0.0)), metal)
    return small


@pytest.fixture(scope="module")
def scene() -> SmallScene:
    return mixed_scene()


@pytest.fixture(scope="module")
def whole(scene: SmallScene) -> np.ndarray:
    """The film's sums, all units of one sample range."""
    engine = scene.engine()
    film = Film(WIDTH, HEIGHT)
    done, sums, *_ = engine.render(all_units(WIDTH, HEIGHT, 0, SPP), go())
    film.add(done, sums)
    return film.sums


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads(scene: SmallScene, whole: np.ndarray, threads: int) -> None:
    engine = scene.engine(threads)
    film = Film(WIDTH, HEIGHT)
    done, sums, samples, bad, _ = engine.render(all_units(WIDTH, HEIGHT, 0, SPP), go())
    film.add(done, sums)
    assert film.sums.tobytes() == whole.tobytes()
    assert (samples, bad) == (WIDTH * HEIGHT * SPP, 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_leases_in_any_order_by_any_engines(scene: SmallScene, whole: np.ndarray, seed: int) -> None:
    """The plan's units, shuffled, cut into leases of any size, rendered by two engines, added in any order."""
    rng = np.random.default_rng(seed)
    plan = UnitPlan(WIDTH, HEIGHT, SPP)
    ids = rng.permutation(plan.n_units)
    cuts = np.sort(rng.choice(np.arange(1, plan.n_units), 5, replace=False))
    engines = [scene.engine(1), scene.engine(2)]
    parts = [
        engines[i % 2].render(plan.units(lease), go())[:2] for i, lease in enumerate(np.split(ids, cuts)) if len(lease)
    ]
    film = Film(WIDTH, HEIGHT)
    for i in rng.permutation(len(parts)):
        film.add(*parts[i])
    assert film.sums.tobytes() == whole.tobytes()


def test_block_masks_on_several_threads(scene: SmallScene, whole: np.ndarray) -> None:
    engine = scene.engine(3)
    film = Film(WIDTH, HEIGHT)
    mask = 0xA5A5_0FF0_1234_8001
    for part in (mask, ~mask & FULL_MASK):
        done, sums, *_ = engine.render(all_units(WIDTH, HEIGHT, 0, SPP, part), go())
        film.add(done, sums)
    assert film.sums.tobytes() == whole.tobytes()


def test_the_bits_travel(scene: SmallScene, whole: np.ndarray) -> None:
    """The scene encoded, sent, decoded and flattened there."""
    engine = load(RDLMessage(1, scene.context.to_bytes()))
    film = Film(WIDTH, HEIGHT)
    done, sums, *_ = engine.render(all_units(WIDTH, HEIGHT, 0, SPP), go())
    film.add(done, sums)
    assert film.sums.tobytes() == whole.tobytes()


def test_sums_are_multiples_of_the_grid(scene: SmallScene, whole: np.ndarray) -> None:
    grid = float(scene.engine().flat.scene.settings[0]["grid"])
    scaled = whole[..., :4] * grid
    assert (scaled == np.floor(scaled)).all()
    assert np.abs(scaled).max() < 2.0**53


@pytest.mark.parametrize("threads", [1, 2])
def test_cancel_gives_back_finished_units_only(scene: SmallScene, whole: np.ndarray, threads: int) -> None:
    """Cancelled from another thread in the middle: what comes back is whole, and its bits are right."""
    engine = scene.engine(threads)
    many = np.concatenate([all_units(WIDTH, HEIGHT, 0, SPP)] * 200)
    many["id"] = np.arange(len(many))
    cancel = go()
    # a second thread sets the word once it gets to run; should it be late, there is work for seconds
    stopper = threading.Thread(target=cancel.__setitem__, args=(0, 1))
    stopper.start()
    done, sums, samples, _, _ = engine.render(many, cancel)
    stopper.join()
    assert len(done) < len(many)
    assert len(done) == len(sums)
    inside = 0
    for unit, part in zip(done, sums, strict=True):
        reference = Film(WIDTH, HEIGHT)
        reference.add(np.array([unit]), part[None])
        assert reference.sums[unit["tile"]].tobytes() == whole[unit["tile"]].tobytes()
        inside += int(part[:, 4].sum())
    assert samples == inside


def test_an_engine_renders_on_after_a_cancel(scene: SmallScene, whole: np.ndarray) -> None:
    engine = scene.engine(2)
    done, *_ = engine.render(all_units(WIDTH, HEIGHT, 0, SPP), np.ones(1, "u4"))
    assert len(done) == 0
    film = Film(WIDTH, HEIGHT)
    done, sums, *_ = engine.render(all_units(WIDTH, HEIGHT, 0, SPP), go())
    film.add(done, sums)
    assert film.sums.tobytes() == whole.tobytes()


def test_no_units_at_all(scene: SmallScene) -> None:
    engine: Engine = scene.engine(2)
    done, sums, samples, bad, first = engine.render(all_units(WIDTH, HEIGHT, 0, SPP)[:0], go())
    assert (len(done), len(sums), samples, bad, first) == (0, 0, 0, 0, None)


def test_closing_twice_is_harmless(scene: SmallScene) -> None:
    engine = scene.engine(2)
    assert picture(engine, 1).shape == (HEIGHT, WIDTH, 4)
    engine.close()
    engine.close()


def test_importing_the_engine_brings_no_ray_and_no_web() -> None:
    code = "import sys, arras_ray.engine; print([n for n in ('ray', 'aiohttp', 'grpc') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


RENDER = """
import hashlib, sys
import numpy as np
from arras_ray.engine import from_context
from arras_ray.messages import FULL_MASK, UNIT
from arras_ray.scene import read_scene
for path in sys.argv[1:]:
    engine = from_context(read_scene([path]), {"width": 64, "height": 36, "spp": 8}, threads=2)
    unit = np.zeros(1, UNIT)
    unit["end"], unit["mask"] = 8, FULL_MASK
    print(hashlib.sha256(engine.render(unit, np.zeros(1, "u4"))[1].tobytes()).hexdigest())
"""
SCENES = [str(ROOT / "scenes" / name) for name in ("spheres.rdla", "cornell_box.rdla", "rectangle.rdla")]
GLOBE = """
local st = AttributeMap("st") { ["map_type"] = "texture st" }
local glow = DwaBaseMaterial("glow") { ["show_emission"] = true, ["emission"] = bind(st, Rgb(1, 1, 1)) }
PerspectiveCamera("camera") { ["node_xform"] = translate(0, 0, 5) }
Layer("layer") { {SphereGeometry("globe"), "", glow, LightSet("none") {}} }
"""
"""Where texture coordinates of a sphere need an arc tangent, the one function of the C library in kernels."""


def digests(globe: Path, **variables: str) -> list[str]:
    command = [sys.executable, "-c", RENDER, *SCENES, str(globe)]
    run = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.fixture(scope="module")
def globe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "globe.rdla"
    path.write_text(GLOBE)
    return path


@pytest.fixture(scope="module")
def native(globe: Path) -> list[str]:
    return digests(globe)


@pytest.mark.slow
def test_fresh_and_cached_kernels(native: list[str], globe: Path, tmp_path: Path) -> None:
    fresh = digests(globe, ARRAS_RAY_CACHE=str(tmp_path))
    assert list(tmp_path.rglob("*.nbc")), "the kernels were cached where they were told to"
    assert digests(globe, ARRAS_RAY_CACHE=str(tmp_path)) == fresh
    assert fresh == native


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["haswell", "nehalem"])
def test_other_processors(native: list[str], globe: Path, cpu: str, tmp_path: Path) -> None:
    assert digests(globe, NUMBA_CPU_NAME=cpu, ARRAS_RAY_CACHE=str(tmp_path)) == native


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc for another choice of its functions")
def test_other_choices_of_the_c_library(native: list[str], globe: Path) -> None:
    """glibc takes another sine, root or arc tangent where a processor has no FMA: kernels must not notice."""
    assert digests(globe, GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4,-AVX") == native


@pytest.mark.slow
def test_no_kernel_reads_past_its_arrays(native: list[str], globe: Path, tmp_path: Path) -> None:
    assert digests(globe, NUMBA_BOUNDSCHECK="1", ARRAS_RAY_CACHE=str(tmp_path)) == native


def test_a_digest_of_the_sources_names_the_cache() -> None:
    from arras_ray.kernels import config

    assert config.sources_digest() == config.sources_digest()
    assert len(config.sources_digest()) == 16
    digest = hashlib.sha256()
    for path in sorted((ROOT / "arras_ray" / "kernels").glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    assert digest.hexdigest()[:16] == config.sources_digest()
