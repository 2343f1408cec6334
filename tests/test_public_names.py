"""What `import arras_ray` gives to those who write computations and clients."""

from __future__ import annotations

import subprocess
import sys

import pytest

import arras_ray
from arras_ray.session.computation import Computation

HEAVY = {"numpy", "ray", "numba", "click", "asyncio"}


@pytest.mark.parametrize("name", arras_ray.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(arras_ray, name) is not None
    assert name in dir(arras_ray)


def test_names_are_those_of_their_rooms() -> None:
    assert arras_ray.Computation is Computation
    assert sorted(arras_ray.__all__) == sorted(
        [*(n for names in arras_ray._ROOMS.values() for n in names), "__version__"]
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Compution'"):
        _ = arras_ray.Compution


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, arras_ray; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
    assert not [name for name in loaded if name.startswith("arras_ray.")]
