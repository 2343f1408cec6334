"""What travels in the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_a_checkout_has_the_data_where_a_wheel_has_it() -> None:
    assert (ROOT / "arras_ray/data/sessions").samefile(ROOT / "sessions")
    assert (ROOT / "arras_ray/data/scenes").samefile(ROOT / "scenes")


@pytest.mark.slow
def test_sessions_and_scenes_travel_in_the_wheel(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("arras_ray", "sessions", "scenes"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, source],
        check=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"arras_ray/data/{folder}/{path.name}"
        for folder in ("sessions", "scenes")
        for path in (ROOT / folder).iterdir()
        if path.is_file()  # sessions that fail on purpose stay at home
    }
    wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / "arras_ray").rglob("*.py")}
    wanted |= {"arras_ray/py.typed"} | {
        f"arras_ray/scene/{path.name}"
        for path in (ROOT / "arras_ray/scene").iterdir()
        if path.suffix in (".json", ".lua")
    }
    assert wanted
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]
