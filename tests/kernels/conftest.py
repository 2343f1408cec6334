"""Kernels as plain Python count uint32 past their end, which numpy warns of and compiled code does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from arras_ray.kernels.config import DISABLE_JIT


@pytest.fixture(autouse=True)
def python_kernels_may_wrap() -> Iterator[None]:
    with np.errstate(**({"over": "ignore", "divide": "ignore", "invalid": "ignore"} if DISABLE_JIT else {})):
        yield
