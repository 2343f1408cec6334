"""Reading scene programs that stand in the test itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene_reader import Reader

from arras_ray.scene import SceneContext, read_scene


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Writes each source into a file of its own and reads them as one scene."""

    def run(*sources: str | bytes, **options: object) -> SceneContext:
        paths = []
        for number, source in enumerate(sources, start=1):
            path = tmp_path / f"{number}.rdla"
            path.write_bytes(source.encode() if isinstance(source, str) else source)
            paths.append(path)
        return read_scene(paths, **options)  # type: ignore[arg-type]

    return run
