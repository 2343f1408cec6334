"""`arras-ray scene convert` and `diff`: scenes into other files, and what makes one scene of another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from arras_ray.cli.options import debug_option
from arras_ray.cli.reading import Reading, SceneCommand, reading_options, tell_skipped
from arras_ray.cli.text import shown
from arras_ray.errors import UsageError

DIFFERENT = 1
"""Exit code, as diff has it."""


@click.command(cls=SceneCommand)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True)
@click.argument("output", metavar="OUT")
@click.option(
    "--elements-per-line",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Line breaks in the vectors of RDLA. Default: none.",
)
@click.option("--all", "everything", is_flag=True, help="Write what is at its default, too.")
@click.option("--transient", is_flag=True, help="Attributes of RDLB by number: only this very version can read them.")
@reading_options
@debug_option
def convert(
    inputs: tuple[str, ...], output: str, elements_per_line: int, everything: bool, transient: bool, reading: Reading
) -> None:
    """Write a scene as RDLA or RDLB.

    All inputs together are one scene, as they are for render. OUT ends in .rdla or .rdlb; a name without an ending is
    split: OUT.rdla, and OUT.rdlb with the vectors of 13 elements and more.
    """
    from arras_ray.scene import Style, write_scene
    from arras_ray.scene.files import RDLA, RDLB

    suffix = Path(output).suffix.lower()
    for given, option, other in ((transient, "--transient", RDLA), (elements_per_line, "--elements-per-line", RDLB)):
        if given and suffix == other:
            raise UsageError(f"{option} says nothing about {other[1:].upper()}, which {output} is to be")
    context = reading.read(inputs)
    tell_skipped(context)
    style = Style(elements_per_line=elements_per_line, skip_defaults=not everything, transient=transient)
    for path in write_scene(context, output, style=style):
        click.echo(f"wrote {path}")


@click.command(cls=SceneCommand)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("-a", "more_before", metavar="FILE", multiple=True, help="One more file of A, as where it is split.")
@click.option("-b", "more_after", metavar="FILE", multiple=True, help="One more file of B.")
@click.option(
    "-o", "--out", "output", metavar="OUT", help="File for the delta, .rdla or .rdlb. Default: RDLA on stdout."
)
@reading_options
@debug_option
def diff(
    before: str,
    after: str,
    more_before: tuple[str, ...],
    more_after: tuple[str, ...],
    output: str | None,
    reading: Reading,
) -> int:
    """Say what makes scene B of scene A, as a delta.

    Both are read in the same way. What a delta cannot say is told on stderr. Exits with 0 if the scenes are equal, 1 if
    they differ, 3 if one of them cannot be read.
    """
    from arras_ray.scene import Delta, write_delta
    from arras_ray.scene.files import RDLB

    earlier, later = reading.read([before, *more_before]), reading.read([after, *more_after])
    for context in (earlier, later):
        tell_skipped(context)
    delta = Delta.between(earlier, later)
    unsaid = list(delta.lost)
    if output is None or Path(output).suffix.lower() != RDLB:
        unsaid += [f"members of {later[name]} are gone, which only RDLB can say" for name in delta.narrowed]
    for text in unsaid:
        click.echo(f"warning: not in the delta: {shown(text)}", err=True)
    # as far as RDLA goes; what it cannot say has been told
    sayable = replace(delta, narrowed=())
    if output is None:
        click.echo(sayable.to_rdla(), nl=False)
    else:
        click.echo(f"wrote {write_delta(sayable, output)}")
    return DIFFERENT if delta or unsaid else 0
