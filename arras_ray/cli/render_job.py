"""One run of `arras-ray render`: read, render, write, tell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arras_ray import __version__
from arras_ray.cli.benchmark import FrameTimes
from arras_ray.cli.checkpointer import Checkpointer
from arras_ray.cli.engines import LocalStarter, RayStarter, Starter, Wishes
from arras_ray.cli.handle import failure_of
from arras_ray.cli.interrupt import Interrupt, interruptible
from arras_ray.cli.keeping import Keeping, going_on, refuse_other_render
from arras_ray.cli.options import as_arguments
from arras_ray.cli.outputs import check_outputs, chosen_outputs, numbered, write_outputs
from arras_ray.cli.page import PageAddress, check_page, serve
from arras_ray.cli.reading import Reading, grouped
from arras_ray.cli.report import Report
from arras_ray.cli.summary import Summary, in_order
from arras_ray.cli.watch import LONGEST_WAIT, Told, stop, watch
from arras_ray.errors import ArrasRayError, Interrupted, OutputError, RenderError, UsageError
from arras_ray.versions import versions

if TYPE_CHECKING:
    from arras_ray.checkpoint import Checkpoint
    from arras_ray.cli.handle import RenderHandle
    from arras_ray.messages import RDLMessage, RenderStatus
    from arras_ray.scene.context import SceneContext


@dataclass(frozen=True)
class RenderJob:
    """What a command line asked for. chosen: the overrides of RDLMessage.options. reading: how the scenes are read.
    labels: more metadata of the EXR. remarks: what is to be said about the command line. benchmark: time the frames,
    and those of a second render. delta_frames: a picture of the scene without its deltas, and one after each. page:
    where the render is shown while it goes on."""

    scenes: tuple[str, ...]
    outputs: tuple[str, ...]
    half: bool
    chosen: dict[str, Any]
    engine: str
    wishes: Wishes
    keeping: Keeping
    reading: Reading = field(default_factory=Reading)
    labels: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    benchmark: bool = False
    delta_frames: bool = False
    page: PageAddress | None = None
    no_browser: bool = False

    def run(self, report: Report, interrupt: Interrupt) -> int:
        """Do it all; return the exit code. Everything that was started has ended on return, and on an error."""
        told = Told(report)
        report.start(__version__, list(self.scenes), self.engine)
        told.warnings(self.remarks)
        if self.delta_frames and (self.benchmark or self.keeping != Keeping()):
            raise UsageError("--delta-frames renders several pictures; a checkpoint or --benchmark is of one")
        if self.page is not None and (self.benchmark or self.delta_frames):
            raise UsageError("--view shows one render; --benchmark and --delta-frames make several")
        if self.outputs:
            self._check(chosen_outputs(self.outputs, "", self.scenes[0]))
        self.keeping.check(told)
        earlier = self.keeping.read()
        job = self if earlier is None else replace(self, chosen=going_on(earlier, self.chosen))
        with ExitStack() as stack:
            return job._run(earlier, report, told, interrupt, stack)

    def _run(
        self, earlier: Checkpoint | None, report: Report, told: Told, interrupt: Interrupt, stack: ExitStack
    ) -> int:
        kind = LocalStarter if self.engine == "local" else RayStarter
        starter = kind(self.wishes, report, told, interrupt, stack)
        starter.prepare()
        written: list[Path] = []
        for number, job in enumerate(self._frames()):
            if number:
                told.another_render()
            summary = job._picture(earlier, starter, number if self.delta_frames else None)
            written += summary.outputs
            if summary.exit_code:
                break
            if self.delta_frames:
                report.notice(f"picture {number} of {len(self.reading.deltas)}: {', '.join(map(str, summary.outputs))}")
        report.done(replace(summary, outputs=written))
        return summary.exit_code

    def _frames(self) -> list[RenderJob]:
        """This render, or one for the scene without deltas and one after each of them."""
        if not self.delta_frames:
            return [self]
        deltas = self.reading.deltas
        return [replace(self, reading=replace(self.reading, deltas=deltas[:n])) for n in range(len(deltas) + 1)]

    def _picture(self, earlier: Checkpoint | None, starter: Starter, number: int | None) -> Summary:
        """Render and write one picture. number: of the one among several."""
        from arras_ray.messages import RDLMessage

        report, told, interrupt, stack = starter.report, starter.told, starter.interrupt, starter.stack
        told.step("reading", " ".join((*self.scenes, *self.reading.deltas)))
        context = interruptible(lambda: self.reading.read(self.scenes))
        told.warnings(grouped(context.warnings))
        paths = chosen_outputs(self.outputs, output_file(context), self.scenes[0])
        if number is not None:
            paths = [numbered(path, number) for path in paths]
        self._check(paths)
        if self.page is not None:
            check_page(self.page)
        message = RDLMessage(sync_id=1, payload=context.to_bytes(), options=self.chosen)
        if earlier is not None:
            refuse_other_render(earlier, message)
            report.notice(f"going on from {earlier.path}: {earlier.spp_so_far:.4g} of {self.chosen['spp']} spp")
        handle = starter.start(message, earlier)
        interrupt.gentle()
        if self.page is not None:
            serve(handle, context, self.page, report, stack, no_browser=self.no_browser, steerable=False)
        keeper = self._keeper(handle, message, earlier, stack)
        status, interrupted = self._follow(handle, starter, "initial", keeper)
        errors: list[ArrasRayError] = [self._failure(handle, status)] if status.stage == "failed" else []
        if keeper is not None:
            errors += finish(keeper, handle.spp, status, report)
        metadata = self._metadata(
            status,
            handle.spp * status.samples / max(status.total_samples, 1),
            status.seconds + (earlier.seconds if earlier is not None else 0.0),
        )
        written = self._write(handle, status, paths, metadata, errors, told)
        if not status.samples:
            raise self._nothing(interrupted)
        summary = self._summary(handle, status, written, interrupted)
        if self.benchmark and not summary.exit_code:
            handle.close()
            try:
                interrupted = self._render_again(starter, message, earlier)
            except ArrasRayError as error:
                kept = f"the second render: {error.message}; wrote the first to {', '.join(map(str, written))}"
                raise type(error)(kept, hint=error.hint, **error.fields) from error
            if interrupted:
                summary = replace(summary, result="interrupted", exit_code=Interrupted.exit_code)
        if number is not None:
            handle.close()
        return summary

    def _render_again(self, starter: Starter, message: RDLMessage, earlier: Checkpoint | None) -> bool:
        """Render once more, for its times; return whether a signal ended it."""
        starter.told.another_render()
        handle = starter.start(message, earlier)
        status, interrupted = self._follow(handle, starter, "second")
        if status.stage == "failed":
            raise self._failure(handle, status)
        return interrupted

    def _follow(
        self, handle: RenderHandle, starter: Starter, which: str, keeper: Checkpointer | None = None
    ) -> tuple[RenderStatus, bool]:
        """Watch a render, the initial or the second, to its end: its last status, and whether a signal ended it."""
        report, interrupt, fps = starter.report, starter.interrupt, self.wishes.fps
        longest_wait = LONGEST_WAIT if fps is None else min(LONGEST_WAIT, 1 / fps)
        with ExitStack() as stack:
            times = None
            if self.benchmark:
                asked_at, ready_at = starter.asked_at, starter.ready_at
                times = FrameTimes(handle, report, which, asked_at=asked_at, ready_at=ready_at, fps=fps)
                stack.enter_context(times)
            hearers = [hearer.hear for hearer in (keeper, times) if hearer is not None]
            status = watch(handle, report, starter.told, interrupt, self.wishes.time_limit, hearers, longest_wait)
            interrupted = status.stage not in ("finished", "failed") and interrupt.requested.is_set()
            if interrupted:
                status = stop(handle)
            if times is not None:
                times.finish(status)
        return status, interrupted

    def _check(self, paths: list[Path]) -> None:
        """Raise UsageError or OutputError if these pictures cannot be written."""
        self.keeping.check_outputs(paths)
        check_outputs(paths)

    def _keeper(
        self, handle: RenderHandle, message: RDLMessage, earlier: Checkpoint | None, stack: ExitStack
    ) -> Checkpointer | None:
        """What keeps the checkpoint, under way; None if none was asked for."""
        from arras_ray.identity import identity_of

        if self.keeping.checkpoint is None:
            return None
        identity = identity_of(message, handle.width, handle.height)
        every = self.keeping.every
        keeper = Checkpointer(self.keeping.checkpoint, every, handle, identity, self._metadata, earlier)
        return stack.enter_context(keeper)

    def _write(
        self,
        handle: RenderHandle,
        status: RenderStatus,
        paths: list[Path],
        metadata: dict[str, Any],
        errors: list[ArrasRayError],
        told: Told,
    ) -> list[Path]:
        """Write what there is, return where. Raise the first of the errors so far, else the first OutputError."""
        written: list[Path] = []
        if status.samples:
            try:
                pixels = handle.final()
            except ArrasRayError as error:  # on Ray: who kept the pixels is gone
                errors.append(error)
            else:
                written, unwritten = write_outputs(paths, pixels, half=self.half, metadata=metadata)
                errors += unwritten
        told.warnings(status.warnings)
        if status.bad_samples:
            told.warnings([self._bad_samples(status)])
        if errors:
            first = errors[0]
            told.warnings([str(error) for error in errors[1:] if str(error) != str(first)])
            kept = (
                f"; wrote the samples so far to {', '.join(map(str, written))}" if written else "; nothing was written"
            )
            raise type(first)(first.message + kept, hint=first.hint, **first.fields) from first
        return written

    def _nothing(self, interrupted: bool) -> ArrasRayError:
        """Why there is no picture of a render that did not fail."""
        if interrupted:
            return Interrupted("interrupted before a sample was finished; nothing was written")
        if self.wishes.time_limit is not None:
            hint = "allow a longer --time, or make the picture smaller with --size"
            return RenderError("no sample was finished in time; nothing was written", hint=hint)
        return RenderError("the render ended before a sample was finished; nothing was written")

    def _summary(self, handle: RenderHandle, status: RenderStatus, written: list[Path], interrupted: bool) -> Summary:
        """How a render ended that has a picture."""
        result, exit_code = self._result(status, interrupted)
        mcrts = {row.name for row in status.mcrts}
        where: list[dict[str, Any]] = []
        with suppress(ArrasRayError):  # the picture is written; a session that dies now spoils only this table
            where = [row if row["computation"] in mcrts else row | {"threads": None} for row in handle.where()]
        return Summary(
            result=result,
            exit_code=exit_code,
            outputs=written,
            width=handle.width,
            height=handle.height,
            spp=handle.spp * status.samples / max(status.total_samples, 1),
            samples=status.samples,
            total_samples=status.total_samples,
            seconds=status.seconds,
            rate=status.rate,
            bad_samples=status.bad_samples,
            where=in_order(where),
        )

    def _result(self, status: RenderStatus, interrupted: bool) -> tuple[str, int]:
        """How a render ended that did not fail, and its exit code."""
        if interrupted:
            return "interrupted", Interrupted.exit_code
        if status.samples == status.total_samples:
            return "finished", 0
        if self.wishes.time_limit is not None and status.stage == "finished":
            return "time_limit", 0
        return "partial", RenderError.exit_code

    def _metadata(self, status: RenderStatus, spp: float, seconds: float) -> dict[str, Any]:
        """What the EXR says about its making. spp: samples a pixel so far; seconds: rendered in all."""
        return {
            "scene": " ".join(self.scenes),
            "spp": spp,
            "sync_id": 1,
            "versions": versions(),
            "mcrts": len(status.mcrts),
            "seconds": seconds,
            **self.labels,
        }

    def _bad_samples(self, status: RenderStatus) -> str:
        """How many samples were not finite, and the command that shows the first one's path."""
        were = "sample was" if status.bad_samples == 1 else "samples were"
        text = f"{status.bad_samples} {were} not finite and left out"
        bad = status.first_bad
        if bad is None:
            return text
        command = self._debug_pixel(bad.x, bad.y, bad.sample)
        return f"{text}; the first is sample {bad.sample} of pixel ({bad.x}, {bad.y}): {command}"

    def _failure(self, handle: RenderHandle, status: RenderStatus) -> ArrasRayError:
        """What a render failed of; of pixels that cannot be rendered, with the command that renders one of them."""
        bad = status.failed
        if bad is None:
            return failure_of(handle, status)
        command = self._debug_pixel(bad.left, bad.bottom, bad.begin)
        return RenderError(status.error, hint=f"look at one of them: {command}", pixel=(bad.left, bad.bottom))

    def _debug_pixel(self, x: int, y: int, sample: int) -> str:
        """The command that shows the path of a sample."""
        command = ["arras-ray", "debug-pixel", *self.scenes, str(x), str(y), "--sample", str(sample)]
        return shlex.join(command + as_arguments(self.chosen) + self.reading.as_arguments())


def finish(keeper: Checkpointer, spp: int, status: RenderStatus, report: Report) -> list[OutputError]:
    """Write the last checkpoint and say what is in it; return why it was not written, if so. spp: when all is done."""
    keeper.hear(status)
    error = keeper.finish()
    if keeper.spp:
        go_on = "" if keeper.spp == spp else f"; --resume {shlex.quote(str(keeper.path))} goes on from there"
        report.notice(f"checkpoint {keeper.path}: {keeper.spp:.4g} of {spp} spp{go_on}")
    return [] if error is None else [error]


def output_file(context: SceneContext) -> str:
    """SceneVariables.output_file if the scene sets it."""
    variables = context.variables
    return "" if variables.is_default("output_file") else str(variables.get("output_file"))
