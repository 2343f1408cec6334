"""Unit tests are kept from Ray; the fixture that does it is tested here."""

from __future__ import annotations

import os
import sys

import pytest


def test_a_unit_test_cannot_start_ray() -> None:
    if "ray" in sys.modules:
        with pytest.raises(RuntimeError, match="a unit test starts Ray"):
            sys.modules["ray"].init()
    else:
        with pytest.raises(ImportError, match="a unit test imports ray"):
            __import__("ray")


def test_no_variable_of_ours_or_of_ray_is_set() -> None:
    assert not [name for name in os.environ if name.startswith(("ARRAS_", "RAY_"))]
