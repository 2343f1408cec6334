"""`arras-ray view`: a render in a browser, which may steer it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arras_ray import __version__
from arras_ray.cli.arras_render_options import (
    VIEW_SPELLINGS,
    RenderCommand,
    arras_render_options,
    labels,
    refuse_pictures,
    taken,
    without_effect,
)
from arras_ray.cli.benchmark import FrameTimes
from arras_ray.cli.engine_options import EngineOptions, engine_options, wishes_of
from arras_ray.cli.engines import LocalStarter, RayStarter, Starter
from arras_ray.cli.guard import guard
from arras_ray.cli.handle import failure_of
from arras_ray.cli.interrupt import Interrupt, interruptible, leavable
from arras_ray.cli.options import MOST_SAMPLES_A_PIXEL, Settings, debug_option, picture_options
from arras_ray.cli.outputs import check_outputs, chosen_outputs, write_outputs
from arras_ray.cli.page import PageAddress, check_page, page_options, serve
from arras_ray.cli.reading import Reading, grouped, reading_options
from arras_ray.cli.report import Report, errors_told, make_report
from arras_ray.cli.watch import Told, watch
from arras_ray.errors import Interrupted
from arras_ray.versions import versions

if TYPE_CHECKING:
    from arras_ray.cli.handle import RenderHandle
    from arras_ray.view import ViewServer

LOOK_SECONDS = 0.25


VIEW_FPS = 100
"""A view takes every frame there is; so often --benchmark asks for one."""


@click.command(cls=RenderCommand)
@click.argument("scenes", metavar="SCENE [MORE]...", nargs=-1, required=True)
@click.option(
    "-o", "--out", "outputs", multiple=True, metavar="FILE", help="Picture to write at the end, .exr or .png."
)
@partial(picture_options, samples="it goes on without end")
@reading_options
@engine_options
@page_options
@click.option(
    "--benchmark",
    is_flag=True,
    help="Open no page: tell when the first frame, 1 %, 10 % and 100 % were received, and the same after an edit.",
)
@debug_option
@arras_render_options(VIEW_SPELLINGS)
@click.pass_obj
def view(
    settings: Settings | None,
    /,
    scenes: tuple[str, ...],
    outputs: tuple[str, ...],
    chosen: dict[str, Any],
    by: EngineOptions,
    page: PageAddress,
    no_browser: bool,
    benchmark: bool,
    reading: Reading,
    **spelled: Any,
) -> int:
    """Render a scene in a browser, and move about in it.

    The picture is refined without end, or to --spp samples a pixel. Lights may be given other colours, and scene files
    that are saved are read again. Ctrl-C ends it.
    """
    given = taken(spelled, VIEW_SPELLINGS)
    refuse_pictures(scenes)
    wishes, remarks = wishes_of(given, by, interactive=True)
    outputs = (*outputs, *given.get("exr", ()))
    log_level = given.get("log_level")
    if settings is not None:
        settings.hear(log_level)
    report = make_report(as_json=False, quiet=False, log_level=log_level)
    try:
        with errors_told(report, "interrupted before there was a picture"):
            if by.engine == "ray" and settings is not None and settings.own_process:
                code = guard("start it again", "the view")
                if code is not None:
                    return code
            with Interrupt() as interrupt, ExitStack() as stack:
                paths = chosen_outputs(outputs, "", scenes[0]) if outputs else []
                check_outputs(paths)
                if not benchmark:
                    check_page(page)
                told = Told(report)
                report.start(__version__, list(scenes), by.engine)
                told.warnings((*remarks, *without_effect(given, VIEW_SPELLINGS)))
                starter = (LocalStarter if by.engine == "local" else RayStarter)(wishes, report, told, interrupt, stack)
                starter.prepare()
                told.step("reading", " ".join((*scenes, *reading.deltas)))
                read_at = time.time()
                context = interruptible(lambda: reading.read(scenes))
                told.warnings(grouped(context.warnings))
                endless = {} if benchmark else {"spp": MOST_SAMPLES_A_PIXEL}

                from arras_ray.messages import RDLMessage
                from arras_ray.view.live_files import LiveFiles

                message = RDLMessage(1, context.to_bytes(), options=endless | chosen)
                read_paths = list(dict.fromkeys(context.files))
                files = LiveFiles(
                    read_paths,
                    message.payload,
                    partial(leavable, lambda: reading.read(scenes)),
                    sized="width" in chosen,
                    read_at=read_at,
                    warnings=context.warnings,
                )
                handle: Any = starter.start(message)
                interrupt.gentle()
                if benchmark:
                    _time(handle, starter)
                    return _end(handle, paths, scenes, labels(given), report)
                if "delay" in given:
                    handle.pause()
                paused = "delay" in given
                server = serve(handle, context, page, report, stack, files=files, no_browser=no_browser, paused=paused)
                _watch(handle, server, told, interrupt)
                return _end(handle, paths, scenes, labels(given), report)
    finally:
        report.close()


def _watch(handle: RenderHandle, server: ViewServer, told: Told, interrupt: Interrupt) -> None:
    """Tell what happens until the user ends it, or the session. Raise what it failed of."""
    while not interrupt.requested.wait(LOOK_SECONDS):
        status = handle.status()
        told.warnings([*status.warnings, *server.problems])
        told.ends(status.ends)
        if handle.error is not None:
            raise failure_of(handle, status)


def _time(handle: Any, starter: Starter) -> None:
    """Tell when frames were received, of the scene as it is and after an edit that changes nothing."""
    report, told, interrupt = starter.report, starter.told, starter.interrupt
    asked_at, ready_at = starter.asked_at, starter.ready_at
    for which in ("initial", "second"):
        if which == "second":
            asked_at = ready_at = time.monotonic()
            handle.edit(b"")
        marks = FrameTimes(
            handle, report, which, asked_at=asked_at, ready_at=ready_at, fps=VIEW_FPS, sync_id=handle.sync_id
        )
        with marks:
            status = watch(handle, report, told, interrupt, None, [marks.hear], LOOK_SECONDS)
            marks.finish(status)
        if status.stage == "failed":
            raise failure_of(handle, status)
        if interrupt.requested.is_set():
            return


def _end(
    handle: RenderHandle, paths: list[Path], scenes: tuple[str, ...], labels: Mapping[str, str], report: Report
) -> int:
    """Write the picture as it is; return the exit code. Raise Interrupted where there is none."""
    if not paths:
        return 0
    status = handle.status()
    if not status.samples:
        raise Interrupted("interrupted before a sample of the scene as it is was finished; nothing was written")
    spp = handle.spp * status.samples / max(status.total_samples, 1)
    metadata = {"scene": " ".join(scenes), "spp": spp, "seconds": status.seconds, "versions": versions(), **labels}
    written, errors = write_outputs(paths, handle.final(), half=False, metadata=metadata)
    if written:
        report.notice(f"wrote {', '.join(map(str, written))}")
    if errors:
        raise errors[0]
    return 0
