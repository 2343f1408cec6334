"""How fast scenes are read and written, and whether what is read back is the same scene.

    corpus --corpus DIR   every .rdla below DIR, written as RDLA, RDLB and both, and read again
    rect --corpus DIR     seconds to read hats_light_rect.rdla, a character of 1.9 MB
    mesh                  a mesh of 1 M vertices and 1 M quads as RDLA and RDLB: seconds, MB/s, peak memory
    schema                seconds to load the schema in a fresh process, beyond interpreter and imports
    fuzz --cases N        broken files, as tests/scene/test_scene_fuzz.py makes them

In DIR a common.rdla is read before the other files of its folder and of those below it, and a deltas.rdla on top of the
scene.rdla beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import ROOT, report, say

if TYPE_CHECKING:
    from arras_ray.scene import SceneContext

SUFFIXES = {"rdla": ".rdla", "rdlb": ".rdlb", "split": ""}
RECT = "hats_light_rect.rdla"
PROLOGUE = """
import json, resource, sys, time
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""


def child(program: str, *arguments: object) -> dict[str, Any]:
    """Run Python in a process of its own; what it prints last is its figures."""
    command = [sys.executable, "-c", PROLOGUE + program, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


# --- corpus


def scenes_below(folder: Path) -> list[tuple[list[Path], Path | None]]:
    """The files of each scene, in the order in which they are read, and the delta on top of them."""
    scenes: list[tuple[list[Path], Path | None]] = []
    for path in sorted(folder.rglob("*.rdla")):
        if path.name == "common.rdla":
            continue
        commons = [up / "common.rdla" for up in reversed(path.parents) if up.is_relative_to(folder)]
        before = [common for common in commons if common.exists()]
        other = {"deltas.rdla": "scene.rdla", "scene.rdla": "deltas.rdla"}.get(path.name)
        beside = path.with_name(other) if other else path
        if beside != path and beside.exists():
            # the short one is the delta, as it names only what it changes
            short, long = sorted((path, beside), key=lambda each: each.stat().st_size)
            scenes.append(([*before, long], short if path == short else None))
        elif path.name == "deltas.rdla" and before:
            scenes.append((before, path))
        else:
            scenes.append(([*before, path], None))
    return scenes


def corpus(folder: Path) -> dict[str, Any]:
    """Read, write and read again every scene of a folder."""
    from arras_ray.errors import ArrasRayError

    os.environ.setdefault("RATS_ASSETS_DIR", str(folder))  # scenes name files below it, which are not opened
    counts = {"files": 0, "scenes": 0, "objects": 0, "warnings": 0, "deltas": 0, **dict.fromkeys(SUFFIXES, 0)}
    failed: list[str] = []
    seen: set[Path] = set()
    for paths, delta in scenes_below(folder):
        seen |= {*paths, delta} if delta else {*paths}
        name = str((delta or paths[-1]).relative_to(folder))
        try:
            context, wrong = read_again(paths, delta)
        except ArrasRayError as error:
            failed.append(f"{name}: {error}")
            continue
        failed += [f"{name}: another scene after {kind}" for kind in wrong]
        for kind in SUFFIXES:
            counts[kind] += kind not in wrong
        counts["scenes"] += 1
        counts["deltas"] += delta is not None
        counts["objects"] += len(context)
        counts["warnings"] += len(context.warnings)
        say(f"{name}: {len(context)} objects, {len(context.warnings)} warnings")
    return {**counts, "files": len(seen), "failed": failed}


def read_again(paths: list[Path], delta: Path | None) -> tuple[SceneContext, list[str]]:
    """A scene, and in which ways of writing it (or its delta) it did not come back."""
    from arras_ray.scene import read_delta, read_scene, write_delta, write_scene

    context = read_scene(paths, print_line=lambda line: None)
    if delta is not None:
        read_delta(context, delta)
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, suffix in SUFFIXES.items():
            back = read_scene(write_scene(context, Path(folder, f"scene{suffix}")))
            if back != context or back.warnings:
                wrong.append(kind)
            if delta is None or not suffix:
                continue
            base = read_scene(paths, print_line=lambda line: None)
            read_delta(base, write_delta(context.delta(), Path(folder, f"delta{suffix}")))
            if base != context:
                wrong.append(f"a delta in {kind}")
    return context, wrong


# --- rect


def rect(path: Path, runs: int) -> dict[str, Any]:
    """Seconds to read a file, in this process; the first includes what a process loads once."""
    from arras_ray.scene import read_scene

    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        read_scene([path])
        seconds.append(time.perf_counter() - began)
    return {"first_s": round(seconds[0], 3), "best_s": round(min(seconds[1:]), 3), "wanted_s": 0.2, "runs": runs}


# --- mesh

MAKE_MESH = """
import numpy as np
edge, path = int(sys.argv[1]), sys.argv[2]
x, y = np.meshgrid(np.arange(edge), np.arange(edge))
points = np.stack([x * 0.01, y * 0.01, np.sin(x * 0.1) * np.cos(y * 0.1)], axis=-1).reshape(-1, 3)
row, column = np.meshgrid(np.arange(edge - 1), np.arange(edge - 1), indexing="ij")
first = (row * edge + column).ravel()
quads = np.stack([first, first + 1, first + edge + 1, first + edge], axis=1)
with open(path, "w") as file:
    file.write('RdlMeshGeometry("mesh") {\\n    ["vertex_list_0"] = { ')
    file.write(",\\n        ".join("Vec3(%.9g, %.9g, %.9g)" % tuple(p) for p in points.tolist()))
    file.write('},\\n    ["face_vertex_count"] = { ')
    file.write(", ".join(["4"] * len(quads)))
    file.write('},\\n    ["vertices_by_index"] = { ')
    file.write(",\\n        ".join("%d, %d, %d, %d" % tuple(q) for q in quads.tolist()))
    file.write("},\\n}\\n")
print(json.dumps({"vertices": len(points), "quads": len(quads)}))
"""

READ_AND_WRITE = """
from pathlib import Path
from arras_ray.scene import SceneContext, read_scene, write_scene
source, target = sys.argv[1:]
idle = peak()
began = time.perf_counter()
context = read_scene([source])
read, after_read = time.perf_counter() - began, peak()
began = time.perf_counter()
write_scene(context, target)
write = time.perf_counter() - began
megabytes = Path(source).stat().st_size / 1e6, Path(target).stat().st_size / 1e6
print(json.dumps({
    "read_s": round(read, 3), "read_MB_per_s": round(megabytes[0] / read, 1), "file_MB": round(megabytes[0], 1),
    "write_s": round(write, 3), "write_MB_per_s": round(megabytes[1] / write, 1), "written_MB": round(megabytes[1], 1),
    "idle_MB": round(idle), "peak_of_reading_MB": round(after_read), "peak_MB": round(peak()),
}))
"""


def mesh(edge: int, runs: int) -> dict[str, Any]:
    """A mesh of edge x edge vertices: RDLA read and written as RDLB, and RDLB read and written, in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        text, binary, again = (Path(folder, name) for name in ("mesh.rdla", "mesh.rdlb", "again.rdlb"))
        figures: dict[str, Any] = child(MAKE_MESH, edge, text)
        say(f"made {text.stat().st_size / 1e6:.0f} MB of RDLA")
        for kind, source, target in (("rdla", text, binary), ("rdlb", binary, again)):
            found = [child(READ_AND_WRITE, source, target) for _ in range(runs)]
            figures[kind] = min(found, key=lambda each: each["read_s"])
            say(f"{kind}: read in {figures[kind]['read_s']} s, {figures[kind]['peak_of_reading_MB']} MB")
        figures["same_bytes"] = binary.read_bytes() == again.read_bytes()
    return figures


# --- schema

LOAD_SCHEMA = """
from arras_ray.scene import load_schema
began = time.perf_counter()
load_schema()
print(json.dumps({"seconds": time.perf_counter() - began}))
"""


def schema(runs: int) -> dict[str, Any]:
    """Seconds of the first load_schema of a process."""
    seconds = sorted(child(LOAD_SCHEMA)["seconds"] for _ in range(runs))
    best, median = (round(1000 * each, 1) for each in (seconds[0], seconds[len(seconds) // 2]))
    return {"best_ms": best, "median_ms": median, "wanted_ms": 50, "runs": runs}


# --- fuzz


def fuzz(cases: int, seed: int) -> dict[str, Any]:
    """Broken files: a fifth programs, a half bytes, the rest values. Raises where anything but a SceneError came."""
    sys.path.insert(0, str(ROOT / "tests" / "scene"))
    import test_scene_fuzz as fuzzing

    shares = {"rdla": cases // 5, "rdlb": cases // 2, "values": cases - cases // 5 - cases // 2}
    began = time.perf_counter()
    failed = {
        "rdla": fuzzing.fuzz_rdla(shares["rdla"], seed),
        "rdlb": fuzzing.fuzz_rdlb(shares["rdlb"], seed),
        "values": sum(fuzzing.fuzz_values(read, shares["values"], seed) for read in fuzzing.VALUE_READERS),
    }
    return {"cases": shares, "scene_errors": failed, "seconds": round(time.perf_counter() - began, 1), "seed": seed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["corpus", "rect", "mesh", "schema", "fuzz"])
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="a folder of scenes that MoonRay reads")
    parser.add_argument("--runs", type=int, default=5, help="of which the best counts")
    parser.add_argument("--edge", type=int, default=1001, help="vertices of a side of the mesh")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    what, folder = arguments.what, arguments.corpus
    if what in ("corpus", "rect") and (folder is None or not folder.is_dir()):
        say(f"{what} is skipped: --corpus names no folder")
        return
    if what == "corpus":
        figures = corpus(folder)
    elif what == "rect":
        path = next(iter(folder.rglob(RECT)), None)
        if path is None:
            say(f"rect is skipped: there is no {RECT}")
            return
        figures = rect(path, arguments.runs)
    elif what == "mesh":
        figures = mesh(arguments.edge, arguments.runs)
    elif what == "schema":
        figures = schema(arguments.runs)
    else:
        figures = fuzz(arguments.cases, arguments.seed)
    say(str(figures))
    report(f"scene_io_{what}", figures)


if __name__ == "__main__":
    main()
