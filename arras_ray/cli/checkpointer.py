"""Keeping a render's checkpoint up to date, whoever renders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arras_ray.cli.keeping import same_file
from arras_ray.cli.report import known_error
from arras_ray.errors import OutputError

if TYPE_CHECKING:
    from arras_ray.checkpoint import Checkpoint
    from arras_ray.cli.handle import RenderHandle
    from arras_ray.identity import Identity
    from arras_ray.messages import FilmState, RenderStatus


class Checkpointer:
    """Writes a checkpoint every few seconds, on a thread of its own, and once more at the end.

    every: seconds. metadata: makes the picture's, from a status, samples a pixel and seconds rendered. A write that
    fails leaves the older file as it is, and is tried again the next time. A file is never replaced by one that has
    fewer samples.
    """

    def __init__(
        self,
        path: Path,
        every: float,
        render: RenderHandle,
        identity: Identity,
        metadata: Callable[[RenderStatus, float, float], dict[str, Any]],
        resume: Checkpoint | None = None,
    ) -> None:
        from arras_ray.unit_plan import UnitPlan

        self.path = path
        self.spp = 0.0
        """Samples a pixel that are in the file, as far as is known."""
        self._every = every
        self._render = render
        self._identity = identity
        self._metadata = metadata
        begun: tuple[int, ...] = ()
        self._earlier_seconds = 0.0
        self._written = 0
        if resume is not None:
            begun = resume.begun
            self._earlier_seconds = resume.seconds
            if same_file(path, Path(resume.path)):
                self._written, self.spp = accepted_units([resume.state]), resume.spp_so_far
        self._ends = UnitPlan(render.width, render.height, render.spp, begun).ends
        self._status = render.status()
        self._trouble: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)

    def __enter__(self) -> Checkpointer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """A render that is left by an error is kept too."""
        if not self._over.is_set():
            self.finish()

    def hear(self, status: RenderStatus) -> list[str]:
        """Take note of a status, and return what went wrong so far."""
        self._status = status
        return list(self._trouble)

    def finish(self) -> OutputError | None:
        """End the thread and write what is there now; return why that did not succeed."""
        self._over.set()
        self._thread.join()
        return self._write()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            error = self._write()
            if error is not None:
                self._trouble.append(f"{error}; it is tried again in {self._every:g} s")

    def _write(self) -> OutputError | None:
        """Write a checkpoint if there are more samples than in the last; return why that did not succeed."""
        from arras_ray.checkpoint import spp_of, write_checkpoint

        try:
            states = self._render.save()
            units = accepted_units(states)
            if units <= self._written:
                return None
            spp = spp_of(states, self._ends)
            status = self._status
            seconds = self._earlier_seconds + status.seconds
            write_checkpoint(
                self.path,
                states,
                ends=self._ends,
                spp=self._render.spp,
                identity=self._identity,
                seconds=seconds,
                metadata=self._metadata(status, spp, seconds),
            )
        except OutputError as error:
            return error
        except Exception as error:  # on Ray: who has the samples is gone
            known = known_error(error)
            return OutputError(f"cannot write {self.path}: {known}", hint=known.hint, path=str(self.path))
        self._written, self.spp = units, spp
        return None


def accepted_units(states: Sequence[FilmState]) -> int:
    """How many units are in these films."""
    return sum(int((state.order > 0).sum()) for state in states)
