"""What the fixture `read` is to the tests that take it."""

from __future__ import annotations

from typing import Protocol

from arras_ray.scene import SceneContext


class Reader(Protocol):
    """read(source, *more_sources, **options): the context these programs make; their files are 1.rdla, 2.rdla ..."""

    def __call__(self, *sources: str | bytes, **options: object) -> SceneContext: ...
