"""What must be equal on all machines for a session to be possible and its pictures to have the same bits."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from arras_ray import __version__

WIRE_VERSION = 1
"""Compared when computations join; a differing one is refused."""

COMPARED = ("numpy", "numba", "llvmlite", "embreex")
"""Packages that shape the bits of a picture. They are not imported to be asked."""


def versions() -> dict[str, str]:
    """This process's versions, by name."""
    found = {"arras-ray": __version__, "messages": str(WIRE_VERSION), "python": platform.python_version()}
    for package in COMPARED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found
