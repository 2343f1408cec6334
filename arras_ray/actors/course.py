"""The course of a render: how far it is with one state of the scene, and how that ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from arras_ray.actors.handshake import Kept
from arras_ray.actors.seen import SeenMcrts
from arras_ray.ledger import Ledger
from arras_ray.messages import FailedPixels, RenderStatus, Tally


@dataclass
class Course:
    """Of one state of the scene. earlier_seconds, earlier_samples: by dispatches before this one.

    early_end: the stage to end in once what is leased has ended. over_at: when it ended, by time.monotonic. unread:
    parts in a row that merge could not read. warnings: of the scene, oldest first; those of the one before stand until
    an mcrt has told, `heard`.
    """

    stage: str = "loading"
    earlier_seconds: float = 0.0
    earlier_samples: int = 0
    early_end: str = ""
    over_at: float | None = None
    error: str = ""
    failed: FailedPixels | None = None
    unread: int = 0
    warnings: list[str] = field(default_factory=list)
    heard: bool = True

    @property
    def is_over(self) -> bool:
        """It has ended: finished, cancelled or failed."""
        return self.over_at is not None

    def warn(self, *texts: str) -> None:
        """What an mcrt has told of the scene."""
        before = self.warnings if self.heard else []
        self.warnings, self.heard = [*before, *(text for text in texts if text not in before)], True

    def end(self, stage: str) -> None:
        """It is over now."""
        self.over_at, self.stage = time.monotonic(), stage

    def go_on(self) -> None:
        """It is not over: some of what was accepted is lost."""
        self.over_at, self.stage = None, "rendering"

    def seconds(self, ledger: Ledger | None) -> float:
        """Since the first lease, by whichever dispatch, until it was over."""
        began = ledger.first_lease_at if ledger is not None else None
        return self.earlier_seconds + ((self.over_at or time.monotonic()) - began if began is not None else 0.0)

    def status(self, ledger: Ledger | None, mcrts: SeenMcrts, told: list[str]) -> RenderStatus:
        """Where the render stands. told: warnings that are not of the scene."""
        compiling = any(seen.state == "compiling" for seen in mcrts.values())
        stage = "compiling" if self.stage == "loading" and compiling else self.stage
        seconds = self.seconds(ledger)
        warnings = (*self.warnings, *told)
        if ledger is None:
            rows = mcrts.rows(())
            return RenderStatus(stage, 0, 0, seconds, 0.0, rows, warnings, error=self.error, failed=self.failed)
        here = seconds - self.earlier_seconds
        return RenderStatus(
            stage=stage,
            samples=ledger.samples,
            total_samples=ledger.total_samples,
            seconds=seconds,
            rate=(ledger.samples - self.earlier_samples) / here if here > 0 else 0.0,
            mcrts=mcrts.rows(ledger.rows()),
            warnings=warnings,
            bad_samples=ledger.bad_samples,
            first_bad=ledger.first_bad,
            error=self.error,
            failed=self.failed,
            sync_id=ledger.sync_id,
        )


def restore(ledger: Ledger, n_merges: int, kept: Kept) -> int:
    """What a merge has of this state of the scene; of an earlier one it has nothing that counts. Returns how many units
    are leased again."""
    if kept.sync_id == ledger.sync_id:
        return ledger.restore(kept.shard, n_merges, kept.unit_ids, kept.tally, kept.life)
    return ledger.restore(kept.shard, n_merges, np.empty(0, "i8"), Tally(), kept.life)
