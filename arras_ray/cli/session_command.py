"""`arras-ray session`: what can be done with session definitions."""

from __future__ import annotations

import click

from arras_ray.cli.session_run import run


@click.group()
def session() -> None:
    """Session definitions, and sessions that run them."""


session.add_command(run)
