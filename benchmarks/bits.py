"""The same picture, bit for bit: any number of mcrts, threads and merge shards, kernels fresh or cached, other CPUs.

Renders one scene in each of these ways and compares the float32 pixels with the first. In the last way an mcrt is
killed by SIGKILL in the middle of the render.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import psutil
from harness import COMMAND, ROOT, report, same_pixels, say

LOCAL = ["--engine", "local"]
EMBEDDED = ["--address", "local"]


def render(scene: Path, out: Path, extra: list[str], variables: dict[str, str], kill: bool = False) -> None:
    """One `arras-ray render`. kill: end one mcrt by SIGKILL once a fifth of the samples are there."""
    command = [COMMAND, "render", str(scene), "--size", "320", "180", "--spp", "64", "--json", "-o", str(out), *extra]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if kill and event["event"] == "progress" and event["percent"] > 20.0:
                mcrt_of(process.pid).kill()
                kill = False
    if process.returncode:
        raise SystemExit(f"render ended with {process.returncode}: {command}")
    if kill:
        raise SystemExit("the render was over before an mcrt could be killed")


def mcrt_of(pid: int) -> psutil.Process:
    """A process below `pid` in which an mcrt lives; Ray names its workers by their actors' classes."""
    processes = psutil.Process(pid).children(recursive=True)
    return next(process for process in processes if process.cmdline()[0].startswith("ray::Mcrt"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, default=ROOT / "scenes" / "spheres.rdla")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = {"ARRAS_RAY_CACHE": str(Path(folder, "cache"))}
        haswell = {"ARRAS_RAY_CACHE": str(Path(folder, "haswell")), "NUMBA_CPU_NAME": "haswell"}
        two_merges = Path(folder, "two_merges.sessiondef")
        definition = (ROOT / "sessions" / "mcrt_progressive_n.sessiondef").read_text()
        two_merges.write_text(definition.replace('"merge": {\n', '"merge": {\n "arrayExpand": 2,\n'))
        ways: list[tuple[str, list[str], dict[str, str]]] = [
            ("local, 1 thread", [*LOCAL, "--threads", "1"], {}),
            ("local, 2 threads", [*LOCAL, "--threads", "2"], {}),
            ("local, kernels fresh", LOCAL, fresh),
            ("local, the same kernels cached", LOCAL, fresh),
            ("local, haswell", LOCAL, haswell),
            *((f"Ray, {n} mcrts", [*EMBEDDED, "--num-mcrt", str(n)], {}) for n in (1, 2, 5)),
            ("Ray, two merge shards", [*EMBEDDED, "--num-mcrt", "2", "-s", str(two_merges)], {}),
            ("Ray, an mcrt killed", [*EMBEDDED, "--num-mcrt", "2"], {}),
        ]
        first = Path(folder, "first.exr")
        results = {}
        for name, extra, variables in ways:
            out = first if not results else Path(folder, "other.exr")
            render(arguments.scene, out, extra, variables, kill=name.endswith("killed"))
            results[name] = same_pixels(first, out)
            say(f"{'same' if results[name] else 'DIFFERENT'}: {name}")
    report("bits", {"identical": all(results.values()), "ways": results})


if __name__ == "__main__":
    main()
