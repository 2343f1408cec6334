"""The benchmarks' Z-test, where tests find it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_ztest() -> ModuleType:
    """benchmarks/ztest.py: a folder of scripts, no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "ztest.py"
    spec = importlib.util.spec_from_file_location("ztest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ztest"] = module
    spec.loader.exec_module(module)
    return module


ztest = load_ztest()
