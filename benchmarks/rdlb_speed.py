"""A mesh of a million vertices and as many quads as RDLB: written and read, in memory and as a file.

Each beside numpy copying the same bytes, run in turn. Peak memory is what Python and numpy allocate at most meanwhile;
for reading this includes the scene.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import alternate, report, say

from arras_ray.scene import SceneContext, rdlb, read_scene, write_scene


def mesh(vertices: int, shuffled: bool) -> SceneContext:
    """A wavy grid of quads. shuffled: its vertices in random order, so that indices take different numbers of bytes."""
    width = round(vertices**0.5)
    rng = np.random.default_rng(1)
    points = rng.random((width * width, 3), "f4")
    rows, columns = np.meshgrid(np.arange(width), np.arange(width), indexing="ij")
    corners = [rows % (width - 1) * width + columns % (width - 1) + step for step in (0, 1, width + 1, width)]
    indices = np.stack(corners, -1).reshape(-1).astype("i4")
    if shuffled:
        indices = rng.permutation(width * width).astype("i4")[indices]
    context = SceneContext()
    item = context.create("RdlMeshGeometry", "mesh")
    item.set("vertex_list_0", points)
    item.set("vertices_by_index", indices)
    item.set("face_vertex_count", np.full(width * width, 4, "i4"))
    return context


def seconds(work: Callable[[], object]) -> float:
    """Of one run; what it gives is dropped afterwards."""
    began = time.perf_counter()
    result = work()
    taken = time.perf_counter() - began
    del result
    return taken


def peak(work: Callable[[], object]) -> int:
    """Bytes that are allocated at most while it works, what it gives included."""
    tracemalloc.start()
    result = work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return most


def measure(name: str, vertices: int, runs: int, folder: Path) -> dict[str, float]:
    """Figures of one mesh."""
    context = mesh(vertices, name == "shuffled")
    file = folder / f"{name}.rdlb"
    write_scene(context, file)
    data = file.read_bytes()
    if rdlb.decode(data) != context:
        raise SystemExit("what is read is not what was written")
    plain = np.frombuffer(data, "u1")
    copied, encoded, decoded, written, read = (
        min(times)
        for times in alternate(
            runs,
            lambda: seconds(plain.copy),
            lambda: seconds(context.to_bytes),
            lambda: seconds(lambda: rdlb.decode(data)),
            lambda: seconds(lambda: write_scene(context, file)),
            lambda: seconds(lambda: read_scene([file])),
        )
    )
    figures = {"file_mb": len(data) / 1e6, "copy_mb_s": len(data) / copied / 1e6}
    for what, taken in {"encode": encoded, "decode": decoded, "write_scene": written, "read_scene": read}.items():
        figures |= {f"{what}_mb_s": len(data) / taken / 1e6, f"{what}_times_copy": taken / copied}
    figures["write_scene_peak_times_file"] = peak(lambda: write_scene(context, file)) / file.stat().st_size
    figures["read_scene_peak_times_file"] = peak(lambda: read_scene([file])) / file.stat().st_size
    say(f"{name}: {figures}")
    return {what: round(value, 2) for what, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("grid", "shuffled"):
            report(f"rdlb {name}", measure(name, arguments.vertices, arguments.runs, Path(folder)))


if __name__ == "__main__":
    main()
