"""How kernels are compiled, and the float32 constants they share.

fastmath stays off: with it, a kernel compiled fresh and the same kernel loaded from the cache differ in the last bit.
Only entry kernels are cached on disk; the cache lives in a folder named by a digest of this package, because numba
does not notice a changed callee in another file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np


def sources_digest() -> str:
    """16 hex digits of the kernels' sources: equal on machines that render the same bits."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled kernels are kept: `$ARRAS_RAY_CACHE`, else `$XDG_CACHE_HOME/arras-ray`, else `~/.cache`.

    One folder for each installation, because numba's own key holds the path and the time of a source file, and for
    each state of the sources, because it does not notice a changed callee.
    """
    base = os.environ.get("ARRAS_RAY_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(home, "arras-ray")
    stamp = hashlib.sha256()
    for path in _sources():
        stamp.update(f"{path} {path.stat().st_mtime_ns}".encode())
    return Path(base) / f"kernels-{sources_digest()}-{stamp.hexdigest()[:8]}"


def _sources() -> list[Path]:
    return sorted(Path(__file__).resolve().parent.glob("*.py"))


os.environ["NUMBA_CACHE_DIR"] = str(cache_folder())

import numba  # noqa: E402  (reads the cache folder when it is imported)

numba.config.CACHE_DIR = str(cache_folder())

DISABLE_JIT = bool(numba.config.DISABLE_JIT)

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": False}

kernel = numba.njit(**_OPTIONS)
"""A function other kernels call."""

inlined = numba.njit(inline="always", **_OPTIONS)
"""A function put into its caller before compilation: for those whose arguments and results are many words."""

entry = numba.njit(cache=True, **_OPTIONS)
"""A function Python calls: compiled once a machine, then loaded."""

ZERO = np.float32(0.0)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
TWO = np.float32(2.0)
FOUR = np.float32(4.0)
INF = np.float32(np.inf)
PI = np.float32(np.pi)
INV_PI = np.float32(1.0 / np.pi)
TWO_PI = np.float32(2.0 * np.pi)
INV_TWO_PI = np.float32(0.5 / np.pi)
BLACK = (ZERO, ZERO, ZERO)

ORIGIN_ERROR = np.float32(2.0**-19)
"""Relative error of a hit point with a margin; next rays start that far off the surface (Pharr et al., PBR 4, 6.8)."""
