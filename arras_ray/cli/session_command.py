"""`arras-ray session`: what can be done with session definitions."""

from __future__ import annotations

import click

from arras_ray.cli.definition_command import check, list_definitions, show
from arras_ray.cli.session_run import run


@click.group()
def session() -> None:
    """Session definitions, and sessions that run them."""


session.add_command(check)
session.add_command(list_definitions)
session.add_command(run)
session.add_command(show)
