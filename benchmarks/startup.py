"""What a user feels first: the whole process of a small render, kernels cached, and the first compilation.

`arras-ray render` of the Cornell box, 256x256, 4 spp, --engine local; each run a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from harness import COMMAND, CORNELL_BOX, report, say


def seconds(arguments: list[str], **variables: str) -> float:
    """Wall seconds of one process."""
    began = time.perf_counter()
    subprocess.run([COMMAND, *arguments], check=True, capture_output=True, env={**os.environ, **variables})
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cold = seconds(["warm"], ARRAS_RAY_CACHE=str(Path(folder, "cache")))
        say(f"first compilation, whole process: {cold:.1f} s")
        render = ["render", str(CORNELL_BOX), "--engine", "local", "--size", "256", "256", "--spp", "4",
                  "-o", str(Path(folder, "picture.exr"))]  # fmt: skip
        seconds(render)
        runs = [seconds(render) for _ in range(arguments.runs)]
    report("startup", {"first_compilation": round(cold, 2), "render_median": round(statistics.median(runs), 3),
                       "render_min": round(min(runs), 3), "render_max": round(max(runs), 3)})  # fmt: skip


if __name__ == "__main__":
    main()
