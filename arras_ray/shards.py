"""The frames of a session's merges, each of which keeps some of the tiles, as frames of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arras_ray.messages import ProgressiveFrame

STATUS_ORDER = ("STARTED", "RENDERING", "CANCELLED", "FINISHED")

LONGEST_WAIT = 1.0
"""A merge is asked to wait no longer for news: it may be replaced meanwhile."""


@dataclass
class _Shard:
    """What the last frame of a merge said. life: which merge that was."""

    life: int
    version: int = 0
    sync_id: int = -1
    progress: float = 0.0
    status: str = "STARTED"

    def over(self, sync_id: int) -> bool:
        """Whether nothing more will come of this state of the scene."""
        return self.status in ("FINISHED", "CANCELLED") and self.sync_id >= sync_id


class Shards:
    """Asks merges for what is new. A merge that took another's place is asked for everything."""

    def __init__(self) -> None:
        self.sync_id = 0
        """Of the scene as it is now; what merges say of earlier ones is not their last word."""
        self.away = False
        """A merge could not be asked, or has not heard how the scene is now."""
        self._shards: list[_Shard] = []
        self._asked: dict[Any, tuple[int, int]] = {}
        """Frames under way: shard and life."""

    @property
    def over(self) -> bool:
        """Every merge has said its last word."""
        return bool(self._shards) and all(shard.over(self.sync_id) for shard in self._shards)

    def news(self, merges: tuple[Any, ...], lives: tuple[int, ...], timeout: float) -> list[ProgressiveFrame]:
        """Frames of the merges that have something new within `timeout` seconds."""
        import ray
        from ray.exceptions import RayError

        while len(self._shards) < len(merges):
            self._shards.append(_Shard(lives[len(self._shards)]))
        for i, life in enumerate(lives):
            if self._shards[i].life != life:
                self._shards[i] = _Shard(life)
        under_way = set(self._asked.values())
        wait = min(timeout, LONGEST_WAIT)
        for i, merge in enumerate(merges):
            if (i, lives[i]) not in under_way and not self._shards[i].over(self.sync_id):
                self._asked[merge.frame.remote(self._shards[i].version, max(wait, 0.05))] = (i, lives[i])
        self.away = False
        if not self._asked:
            return []
        ready, waiting = ray.wait(list(self._asked), num_returns=1, timeout=wait)
        if ready and waiting:
            ready += ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]
        news = []
        for ref in ready:
            i, life = self._asked.pop(ref)
            try:
                part = ray.get(ref)
            except RayError:
                self.away = True
                continue
            if part is not None and self._shards[i].life == life:
                news += [part] if self._take(self._shards[i], part) else []
        return news

    def joined(self, parts: list[ProgressiveFrame], version: int) -> ProgressiveFrame:
        """One frame of several, those of the newest scene. It is FINISHED when all merges are."""
        newest = max(parts, key=lambda part: part.sync_id)
        parts = [part for part in parts if part.sync_id == newest.sync_id]
        mine = [shard for shard in self._shards if shard.sync_id == newest.sync_id]
        status = min((shard.status for shard in mine), key=STATUS_ORDER.index)
        if len(mine) < len(self._shards):
            status = "RENDERING"
        return ProgressiveFrame(
            sync_id=newest.sync_id,
            width=newest.width,
            height=newest.height,
            version=version,
            tiles=np.concatenate([part.tiles for part in parts]),
            pixels=np.concatenate([part.pixels for part in parts]),
            progress=sum(shard.progress for shard in mine),
            status="RENDERING" if status == "STARTED" else status,
            coarse=tuple(coarse for part in parts for coarse in part.coarse),
            ages=dict(sorted((one for part in parts for one in part.ages.items()), key=lambda one: -one[1])),
        )

    def _take(self, shard: _Shard, part: ProgressiveFrame) -> bool:
        """Remember what a frame said; True if it was new."""
        new = bool(len(part.tiles)) or bool(part.coarse) or part.status != shard.status
        shard.version, shard.sync_id = part.version, part.sync_id
        shard.progress, shard.status = part.progress, part.status
        self.away |= part.sync_id < self.sync_id
        return new
