"""Mitsuba in a process of its own, as the peer to measure against: its Cornell box, box filter, its roulette.

Run as a script it is the worker: a JSON request a line on stdin, a JSON answer a line on stdout. Its llvm variants need
libLLVM (Debian: libllvm19), named by DRJIT_LIBLLVM_PATH where it is not found by itself.
"""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any

import numpy as np


class Mitsuba:
    """One variant of Mitsuba. Calling it gives the picture, (size, size, 3) f8 bottom-up, and the seconds it took."""

    def __init__(self, variant: str, size: int, max_depth: int = 8) -> None:
        environment = dict(os.environ)
        found = sorted(glob.glob("/usr/lib/*/libLLVM.so.19*"))
        if found:
            environment.setdefault("DRJIT_LIBLLVM_PATH", found[0])
        self._process = subprocess.Popen(
            [sys.executable, __file__, variant, str(size), str(max_depth)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self(1)  # its kernels are compiled by the first call

    def __call__(self, spp: int, seed: int = 0) -> tuple[np.ndarray, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            print(json.dumps({"spp": spp, "seed": seed, "file": file.name}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
            if not line:
                raise SystemExit("Mitsuba ended; is the benchmark extra installed, and libLLVM for its llvm variants?")
            return np.load(file.name), float(json.loads(line)["seconds"])

    def __enter__(self) -> Mitsuba:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def work(variant: str, size: int, max_depth: int) -> None:
    import mitsuba

    mitsuba.set_variant(variant)
    description: dict[str, Any] = mitsuba.cornell_box()
    description["sensor"]["film"] |= {"width": size, "height": size, "rfilter": {"type": "box"}}
    description["integrator"]["max_depth"] = max_depth
    scene = mitsuba.load_dict(description)
    for line in sys.stdin:
        request = json.loads(line)
        began = time.perf_counter()
        picture = np.array(mitsuba.render(scene, spp=request["spp"], seed=request["seed"]))
        seconds = time.perf_counter() - began
        with open(request["file"], "wb") as file:
            np.save(file, picture[::-1].astype("f8"))
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
