"""A small scene that is looked at, and waiting for what is seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from small_scenes import SmallScene, translate

from arras_ray.engine import from_context
from arras_ray.local_render import LocalRender
from arras_ray.messages import ProgressiveFrame, tile_grid
from arras_ray.scene import SceneContext

PATIENCE = 60.0

OPTIONS = {"width": 150, "height": 70, "spp": 4, "seed": 3}


def balls() -> SmallScene:
    """A red ball before a grey wall, under a panel."""
    small = SmallScene()
    small.light("RectLight", "panel", intensity=2.0, node_xform=translate(-1.0, 1.0, 3.0))
    small.put(small.wall(z=-1.5), small.matte("grey", (0.5, 0.6, 0.7)))
    small.put(small.sphere("ball", 0.7), small.matte("red", (0.8, 0.1, 0.1)))
    return small


def finished(context: SceneContext, **options: Any) -> np.ndarray:
    """The picture of a scene as it is now, (height, width, 4) float32."""
    return LocalRender(from_context(SceneContext.from_bytes(context.to_bytes()), OPTIONS | options), 1).final()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; fail, with what was waited for, when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return result


def shown(render: Any, sync_id: int, since: int = 0) -> list[ProgressiveFrame]:
    """Frames until all tiles of this scene are seen, coarse or whole."""
    frames: list[ProgressiveFrame] = []
    seen: set[int] = set()
    across, up = tile_grid(render.width, render.height)
    deadline = time.monotonic() + PATIENCE
    while len(seen) < across * up:
        assert time.monotonic() < deadline, f"scene {sync_id} was never seen"
        frame = render.frame(since, 1.0)
        if frame is None:
            continue
        since = frame.version
        if frame.sync_id == sync_id:
            frames.append(frame)
            seen.update(frame.tiles.tolist(), *(coarse.tiles.tolist() for coarse in frame.coarse))
    return frames
