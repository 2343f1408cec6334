"""How many vertices of a path should draw from Sobol? Time to equal error for each choice.

The number is a constant of the kernels, so each choice is a copy of the package, compiled on its own, in a process of
its own. Cornell box at 128x128 against a reference of many samples; cost is mean squared error times processor seconds.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import CORNELL_BOX, ROOT, Picture, report, say

DEPTHS = {"max_depth": 6, "max_diffuse_depth": 6}
SIZE = 128
CONSTANT = re.compile(r"^STRATIFIED_VERTICES = \d+", re.MULTILINE)


def work(reference: Path, spp: int, seeds: int) -> None:
    """In the copy: print the mean squared error and the least processor seconds of a picture."""
    render = Picture(CORNELL_BOX, SIZE, 1, DEPTHS)
    render(1)
    wanted = np.load(reference)
    errors, seconds = [], []
    for seed in range(seeds):
        began = time.process_time()
        picture, _ = render(spp, seed)
        seconds.append(time.process_time() - began)
        errors.append(np.mean((picture - wanted) ** 2))
    print(np.mean(errors), min(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spp", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--reference", type=int, default=8192)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.spp, arguments.seeds)
        return
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder, "reference.npy")
        say(f"reference of {arguments.reference} spp")
        np.save(reference, Picture(CORNELL_BOX, SIZE, os.cpu_count() or 1, DEPTHS)(arguments.reference, 999)[0])
        for vertices in range(5):
            copy = Path(folder, str(vertices))
            shutil.copytree(ROOT / "arras_ray", copy / "arras_ray")
            sampler = copy / "arras_ray" / "kernels" / "sampler.py"
            sampler.write_text(CONSTANT.sub(f"STRATIFIED_VERTICES = {vertices}", sampler.read_text()))
            command = [sys.executable, __file__, "--worker", str(reference), "--spp", str(arguments.spp)]
            environment = {**os.environ, "PYTHONPATH": str(copy), "ARRAS_RAY_CACHE": str(copy / "cache")}
            result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            error, seconds = map(float, result.stdout.split())
            figures[vertices] = {"mse": error, "seconds": seconds, "cost": error * seconds}
            say(f"{vertices} vertices: MSE {error:.3e}, {seconds:.2f} s, cost {error * seconds:.3e}")
    report("stratified vertices", {"choices": figures})


if __name__ == "__main__":
    main()
