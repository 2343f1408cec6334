"""`arras-ray scene`: scenes as files, without rendering them."""

from __future__ import annotations

import click

from arras_ray.cli.scene_check_command import check
from arras_ray.cli.scene_classes_command import classes
from arras_ray.cli.scene_print_command import print_scene
from arras_ray.cli.scene_write_commands import convert, diff


@click.group()
def scene() -> None:
    """Scene files: look at them, check, convert and compare them."""


scene.add_command(check)
scene.add_command(classes)
scene.add_command(convert)
scene.add_command(diff)
scene.add_command(print_scene)
