"""This package, imported before it is known whether a worker wants it, or the files that its job has."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

PACKAGE = "arras_ray"


class Preloaded:
    """An import hook: the modules of the package as they are now, for those whose import would find the same files."""

    def __init__(self) -> None:
        self._modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE}
        self._changed = self._changes()

    def offer(self) -> None:
        """From here on, the next import of the package decides."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib asks for it."""
        if name != PACKAGE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(PACKAGE)
        package = self._modules[PACKAGE]
        if spec is None or spec.origin != package.__file__ or self._changes() != self._changed:
            return spec
        sys.modules.update(self._modules)
        return ModuleSpec(PACKAGE, _Ready(package), origin=spec.origin, is_package=True)

    def _changes(self) -> dict[str, int]:
        """When each file was last changed, in nanoseconds."""
        found = {}
        for module in self._modules.values():
            with suppress(OSError):
                found[str(module.__file__)] = os.stat(str(module.__file__)).st_mtime_ns
        return found


class _Ready(Loader):
    """Loads a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
