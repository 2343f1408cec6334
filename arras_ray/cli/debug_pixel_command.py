"""`arras-ray debug-pixel`: one path through one pixel, vertex by vertex."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

import click

from arras_ray.cli.interrupt import Interrupt, interruptible
from arras_ray.cli.options import debug_option, picture_options
from arras_ray.cli.reading import Reading, SceneCommand, reading_options
from arras_ray.cli.text import table_text
from arras_ray.errors import UsageError

LEADING = (
    *("depth", "event", "object", "material", "light", "lobe"),
    *("position", "normal", "direction", "t", "pdf", "throughput", "radiance", "alpha"),
)
"""Columns that come first, in this order; a vertex may have others."""


@click.command("debug-pixel", cls=SceneCommand)
@click.argument("scenes", metavar="SCENE [MORE]...", nargs=-1, required=True)
@click.argument("x", type=int)
@click.argument("y", type=int)
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the sample.")
@picture_options
@reading_options
@debug_option
def debug_pixel(
    scenes: tuple[str, ...],
    x: int,
    y: int,
    sample: int,
    chosen: dict[str, Any],
    reading: Reading,
) -> None:
    """Print the path of one sample, vertex by vertex.

    X and Y are raster coordinates as MoonRay has them: pixels from the left and from the BOTTOM, from 0. A path depends
    on pixel, sample number and seed only, so it is the one that was rendered.
    """
    from arras_ray import engine as engine_room
    from arras_ray.messages import RDLMessage

    with Interrupt(), ExitStack() as stack:
        context = interruptible(lambda: reading.read(scenes))
        message = RDLMessage(sync_id=1, payload=context.to_bytes(), options=chosen)
        engine = stack.enter_context(closing(interruptible(lambda: engine_room.load(message, threads=1))))
        if not (0 <= x < engine.width and 0 <= y < engine.height):
            raise UsageError(
                f"pixel ({x}, {y}) is outside the picture of {engine.width}x{engine.height}",
                hint="X and Y count from 0 at the bottom-left corner",
            )
        interruptible(lambda: engine_room.warm(lambda text: click.echo(text, err=True)))
        vertices = interruptible(lambda: engine.trace_pixel(x, y, sample))
    click.echo(f"pixel ({x}, {y}) from the bottom-left, sample {sample}, picture {engine.width}x{engine.height}")
    click.echo(vertices_text(vertices))


def vertices_text(vertices: Sequence[dict[str, Any]]) -> str:
    """A table with a row for each vertex and a column for each thing known about any of them."""
    if not vertices:
        return "the path has no vertices"
    known = {key for vertex in vertices for key in vertex}
    columns = [key for key in LEADING if key in known]
    columns += dict.fromkeys(key for vertex in vertices for key in vertex if key not in LEADING)
    return table_text(columns, [[cell(vertex.get(column, "")) for column in columns] for vertex in vertices], indent="")


def cell(value: Any) -> str:
    """A value as it fits a table: five digits, vectors in brackets."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) or (hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0):
        return f"{float(value):.5g}"
    if isinstance(value, list | tuple) or hasattr(value, "dtype"):
        return "(" + " ".join(cell(part) for part in value) + ")"
    return str(value)
