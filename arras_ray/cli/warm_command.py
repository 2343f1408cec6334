"""`arras-ray warm`: compile the kernels now, so that no render waits for it."""

from __future__ import annotations

import click

from arras_ray.cli.interrupt import Interrupt, interruptible
from arras_ray.cli.options import debug_option


@click.command()
@debug_option
def warm() -> None:
    """Compile the render kernels for this machine now.

    They are kept; the first render does this itself when it was not done before.
    """
    from arras_ray import engine as engine_room

    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        click.echo(text)

    with Interrupt():
        interruptible(lambda: engine_room.warm(say))
    click.echo("kernels compiled" if said else "kernels were compiled already")
