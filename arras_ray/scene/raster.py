"""The raster a scene asks for."""

from __future__ import annotations

from arras_ray.errors import SceneError
from arras_ray.scene.context import SceneContext


def picture_size(context: SceneContext) -> tuple[int, int]:
    """Width and height in pixels by the scene variables: image size / res, truncated, at least 1. Raise SceneError."""
    variables = context.variables
    res = float(variables.get("res"))
    if not res > 0.0:
        raise SceneError(
            f"the scene variable res is {res}", hint="it has to be above 0; 2 halves each side", attribute="res"
        )
    sides = variables.get("image_width"), variables.get("image_height")
    if min(sides) < 1:
        check_size(*sides)
    width, height = (max(1, int(side / res)) for side in sides)
    check_size(width, height)
    return width, height


def check_size(width: int, height: int) -> None:
    """Raise SceneError for a picture that cannot be rendered."""
    if not (1 <= width <= 1 << 16 and 1 <= height <= 1 << 16):
        raise SceneError(
            f"a picture of {width} x {height} pixels cannot be rendered", hint="each side goes from 1 to 65536"
        )
