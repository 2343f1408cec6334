"""What the renderer cannot draw of a scene, known without rendering it."""

from __future__ import annotations

from arras_ray.flatten import flatten
from arras_ray.scene import SceneContext


def undrawn(context: SceneContext) -> tuple[str, ...]:
    """What is drawn otherwise than the scene asks: a sentence a kind, with the first object and the count of the rest.

    A render tells the same. Raises SceneError for a scene that cannot be drawn at all. Compiles nothing.
    """
    return flatten(context).warnings
