"""Libraries of session definitions, and the computations that stand for them here.

A `dso` is the name of a library Arras would load, or `python:package.module:Class`. Names are looked up among those a
user gave, those of installed packages (entry points), and our own.

What a module may be named is decided where it is imported: whatever is installed, and what ARRAS_RAY_MODULES lists
(names of modules, separated by commas; a package allows what is below it). Never the working directory by itself.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from arras_ray.errors import LoadError
from arras_ray.session.computation import Computation

PYTHON = "python:"
ENTRY_POINTS = "arras_ray.computations"
"""Entry-point group: a library's name, and package.module:Class."""

MODULES = "ARRAS_RAY_MODULES"

RENDER_KINDS = {
    "libcomputation_progmcrt": "mcrt",
    "libcomputation_progmcrt_dispatch": "dispatch",
    "libcomputation_progmcrt_merge": "merge",
}
"""MoonRay's libraries, and what renders in their place."""

OWN = {
    "libarras4_testcomputation": "arras_ray.computations.fault_computation:FaultComputation",
    "libarras4_benchmark_computation": "arras_ray.computations.benchmark_computation:BenchmarkComputation",
    "libarras4_time_example": "arras_ray.computations.time_computation:TimeComputation",
}
"""Arras' test computations, and ours that do the same."""


def library_name(dso: str) -> str:
    """A library's name without what systems append."""
    return dso.removesuffix(".so").removesuffix(".dylib")


def resolve(dso: str, given: Mapping[str, str] | None = None) -> tuple[str, str]:
    """What stands for a dso: (kind, target). Nothing is imported.

    kind is mcrt, dispatch or merge for MoonRay's libraries, with an empty target; else python, with the target
    "package.module:Class", which is empty for a name that nobody knows. given: a user's own names, which may also name
    another library.
    """
    mapped = _given(dso, given or {}) or dso
    name = library_name(mapped)
    if name in RENDER_KINDS:
        return RENDER_KINDS[name], ""
    if mapped.startswith(PYTHON):
        return "python", mapped.removeprefix(PYTHON)
    if mapped != dso and ":" in mapped:
        return "python", mapped
    if name in OWN:
        return "python", OWN[name]
    points = entry_points(group=ENTRY_POINTS)
    return "python", next((point.value for point in points if library_name(point.name) == name), "")


def is_given(dso: str, given: Mapping[str, str] | None) -> bool:
    """Whether a user's own names have this one."""
    return bool(_given(dso, given or {}))


def _given(dso: str, given: Mapping[str, str]) -> str:
    return given.get(dso) or next((to for name, to in given.items() if library_name(name) == library_name(dso)), "")


def load(dso: str, target: str) -> type[Computation]:
    """Import the class that stands for a dso. Raise LoadError for what is unknown, not allowed, or no computation."""
    if not target:
        raise LoadError(
            f"there is no computation for the library {dso!r}",
            hint="name one with --dso NAME=python:package.module:Class, or install a package that has it",
            dso=dso,
        )
    module, colon, path = target.partition(":")
    if not colon or not module or not path:
        raise LoadError(f"{target!r} names no class", hint="write python:package.module:Class", dso=dso)
    try:
        with _without_working_directory():
            _check_allowed(module, dso)
            found: Any = import_module(module)
            for part in path.split("."):
                found = getattr(found, part)
    except LoadError:
        raise
    except Exception as error:  # importing runs code, which may fail in any way
        raise LoadError(f"cannot load {target}: {type(error).__name__}: {error}", dso=dso) from error
    if not (isinstance(found, type) and issubclass(found, Computation)):
        raise LoadError(f"{target} is no computation", hint="derive the class from arras_ray.Computation", dso=dso)
    return found


def _check_allowed(module: str, dso: str) -> None:
    named = [name.strip() for name in os.environ.get(MODULES, "").split(",") if name.strip()]
    if any(module == name or module.startswith(f"{name}.") for name in named):
        return
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        raise LoadError(f"there are no computations in {module}, a part of Python", dso=dso)
    spec = find_spec(top)
    if spec is None:
        raise LoadError(f"there is no module {top!r}", dso=dso)
    if not (_is_installed(spec) or top in packages_distributions()):
        raise LoadError(
            f"the module {module!r} may not be named: it is not installed",
            hint=f"install it, or list it in {MODULES} where the computation runs",
            dso=dso,
        )


def _is_installed(spec: ModuleSpec) -> bool:
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
    roots = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    roots.add(str(Path(__file__).resolve().parents[1]))  # our own
    return bool(places) and all(any(Path(p).resolve().is_relative_to(Path(r).resolve()) for r in roots) for p in places)


@contextmanager
def _without_working_directory() -> Iterator[None]:
    """Import from anywhere but the working directory, unless it is one of the module's allowed places."""
    before = list(sys.path)
    if not os.environ.get(MODULES):
        here = os.path.realpath(os.getcwd())
        sys.path[:] = [entry for entry in before if entry and os.path.realpath(entry) != here]
        invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
