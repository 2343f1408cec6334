"""What the merges have, kept where a merge's death does not reach: in the supervisor's own memory."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from arras_ray.actors.calls import Calls
from arras_ray.actors.roster import Member, Roster
from arras_ray.film import shard_of_tile
from arras_ray.messages import FilmState, Tally, tile_grid

SAVE_SECONDS = 5.0
"""Between two saves of a film, at least: what a lost merge costs is rendered again."""

SHARE = 100
"""A save that took a second is not followed by another one for so many: large films are saved less often."""

LONGEST_SAVE = 60.0


class Saves:
    """The latest state of each merge's film. resumed: of the whole picture, what the render begins with."""

    def __init__(self, roster: Roster, calls: Calls, resumed: FilmState | None, seconds: float = SAVE_SECONDS) -> None:
        self.seconds = seconds
        self._roster = roster
        self._calls = calls
        self._resumed = resumed
        self._states: dict[int, FilmState] = {}
        self._next: dict[int, float] = {}
        self._asked: set[int] = set()

    @property
    def states(self) -> list[FilmState]:
        """All that is kept, by shard."""
        return [self._states[shard] for shard in sorted(self._states)]

    def latest(self, shard: int, n_shards: int) -> FilmState | None:
        """What a merge that begins now begins with; None for an empty film."""
        if shard in self._states:
            return self._states[shard]
        return None if self._resumed is None else of_shard(self._resumed, shard, n_shards)

    def look(self) -> None:
        """Ask the merges whose turn it is. Only what has changed travels."""
        now = time.monotonic()
        for shard, merge in enumerate(self._roster.merges):
            if merge.begun and shard not in self._asked and now >= self._next.setdefault(shard, now + self.seconds):
                self._ask(shard, merge)

    def _ask(self, shard: int, merge: Member) -> None:
        began, life = time.monotonic(), merge.life
        self._asked.add(shard)

        def heard(state: FilmState | None) -> None:
            took = time.monotonic() - began
            self._asked.discard(shard)
            self._next[shard] = time.monotonic() + max(self.seconds, SHARE * took if took > 0.1 else 0.0)
            # Of a merge that was replaced meanwhile nothing is taken: its successor began with something else.
            if state is not None and merge.life == life:
                self._states[shard] = state

        def failed(_: Exception) -> None:
            self._asked.discard(shard)
            self._next[shard] = time.monotonic() + self.seconds

        self._calls.ask(merge.actor.save.remote(shard in self._states), heard, failed, LONGEST_SAVE)


def of_shard(state: FilmState, shard: int, n_shards: int) -> FilmState:
    """The part of a whole picture's state that one of n_shards merges keeps. The tally goes with the first."""
    n_tiles = int(np.prod(tile_grid(state.width, state.height)))
    shards = shard_of_tile(np.arange(n_tiles), state.width, state.height, n_shards)
    mine = np.flatnonzero(shards[state.tiles] == shard)
    return replace(
        state,
        tiles=state.tiles[mine],
        sums=state.sums[mine],
        order=state.order[:, mine],
        tally=state.tally if shard == 0 else Tally(),
    )
