"""`arras-ray render`: a scene in, a picture out."""

from __future__ import annotations

from typing import Any

import click

from arras_ray.cli.arras_render_options import (
    RenderCommand,
    arras_render_options,
    labels,
    refuse_pictures,
    taken,
    without_effect,
)
from arras_ray.cli.engine_options import EngineOptions, engine_options, wishes_of
from arras_ray.cli.guard import guard
from arras_ray.cli.interrupt import Interrupt
from arras_ray.cli.keeping import MOST_SECONDS, keeping
from arras_ray.cli.options import Settings, debug_option, picture_options
from arras_ray.cli.page import PageAddress, page_options
from arras_ray.cli.reading import Reading, reading_options
from arras_ray.cli.render_job import RenderJob
from arras_ray.cli.report import errors_told, make_report
from arras_ray.errors import UsageError

LOST = "with --checkpoint FILE a render can go on where it was: --resume FILE"


@click.command(cls=RenderCommand)
@click.argument("scenes", metavar="SCENE [MORE]...", nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Picture to write, .exr (linear) or .png (sRGB preview). May be repeated. "
    "Default: the scene's output_file, else SCENE.exr in the current folder.",
)
@click.option("--half", is_flag=True, help="16-bit floats in the EXR. Default: 32-bit.")
@picture_options
@reading_options
@click.option(
    "--delta-frames",
    is_flag=True,
    help="A picture of the scene without its --delta files and one after each, numbered: out.0000.exr, out.0001.exr.",
)
@click.option(
    "--time",
    "time_limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop after this time, counted from the first lease, with the samples so far.",
)
@click.option(
    "--checkpoint",
    metavar="FILE",
    help="Keep the samples so far in this file, an .exr that shows the picture, for --resume.",
)
@click.option(
    "--checkpoint-every",
    type=click.FloatRange(min=0, min_open=True, max=MOST_SECONDS),
    metavar="SECONDS",
    help="How often. It is also written at the end, however that comes. Default: 60.",
)
@click.option(
    "--resume",
    metavar="FILE",
    help="Go on from a checkpoint of this scene, to the same bits as one render. "
    "Size, samples and seed are taken from it unless they are given; there may be more samples, not fewer.",
)
@engine_options
@click.option("--view", is_flag=True, help="Show the render in a browser while it goes on.")
@page_options
@click.option("--json", "as_json", is_flag=True, help="Events on stdout, one JSON object a line.")
@click.option("--quiet", is_flag=True, help="Nothing but warnings and errors.")
@debug_option
@arras_render_options()
@click.pass_obj
def render(
    settings: Settings | None,
    /,
    scenes: tuple[str, ...],
    outputs: tuple[str, ...],
    half: bool,
    chosen: dict[str, Any],
    time_limit: float | None,
    checkpoint: str | None,
    checkpoint_every: float | None,
    resume: str | None,
    by: EngineOptions,
    as_json: bool,
    quiet: bool,
    reading: Reading,
    delta_frames: bool,
    view: bool,
    page: PageAddress,
    no_browser: bool,
    **spelled: Any,
) -> int:
    """Render a scene and write the picture.

    Several scene files are read one after the other into one scene. Ctrl-C writes the samples so far and ends; a second
    one ends at once.
    """
    given = taken(spelled)
    refuse_pictures(scenes)
    if not view and (no_browser or page != PageAddress()):
        raise UsageError("--page and --no-browser are of the page, which --view serves", hint="add --view")
    wishes, told = wishes_of(given, by, time_limit=time_limit)
    job = RenderJob(
        scenes=scenes,
        outputs=(*outputs, *given.get("exr", ())),
        half=half,
        chosen=chosen,
        engine=by.engine,
        wishes=wishes,
        keeping=keeping(checkpoint, checkpoint_every, resume),
        reading=reading,
        labels=labels(given),
        remarks=(*told, *without_effect(given)),
        benchmark="benchmark" in given,
        delta_frames=delta_frames,
        page=page if view else None,
        no_browser=no_browser,
    )
    log_level = given.get("log_level")
    if settings is not None:
        settings.hear(log_level)
    report = make_report(as_json=as_json, quiet=quiet, log_level=log_level)
    if wishes.fps is not None:
        report.interval = 1 / wishes.fps
    try:
        with errors_told(report, "interrupted before there was a picture; nothing was written"):
            if by.engine == "ray" and settings is not None and settings.own_process:
                code = guard(f"go on with --resume {checkpoint}" if checkpoint else LOST)
                if code is not None:
                    return code
            with Interrupt() as interrupt:
                return job.run(report, interrupt)
    finally:
        report.close()
