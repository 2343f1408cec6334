"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

DEBUG_LEVEL = 4


@dataclass
class Settings:
    """What the command line says about the command itself; travels as click's context object."""

    debug: bool = False
    own_process: bool = False
    """The command has a process of its own, which it may fork."""

    def hear(self, log_level: int | None) -> None:
        """Of Arras' log levels the highest show tracebacks."""
        self.debug |= log_level is not None and log_level >= DEBUG_LEVEL


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Settings).debug = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show tracebacks of errors.",
)

MOST_PIXELS_A_SIDE = 65536

MOST_SAMPLES_A_PIXEL = 65536
"""Sums are exact up to here."""


def picture_options(
    command: Callable[..., Any], *, samples: str = "the square of the scene's pixel_samples"
) -> Callable[..., Any]:
    """--size, --spp and --seed, which override a scene's own settings: the command gets `chosen`, RDLMessage.options of
    what was given. samples: how many there are if none are given, for the help."""

    @wraps(command)
    def gathered(
        *arguments: Any, size: tuple[int, int] | None, spp: int | None, seed: int | None, **others: Any
    ) -> Any:
        given = {"width": size and size[0], "height": size and size[1], "spp": spp, "seed": seed}
        chosen = {name: value for name, value in given.items() if value is not None}
        return command(*arguments, chosen=chosen, **others)

    for option in (
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            metavar="N",
            help="Seed of all random numbers. Default: the scene's frame, or 0 if it sets lock_frame_noise.",
        ),
        click.option(
            "--spp",
            type=click.IntRange(min=1, max=MOST_SAMPLES_A_PIXEL),
            metavar="N",
            help=f"Samples a pixel, in all. Default: {samples}.",
        ),
        click.option(
            "--size",
            type=click.IntRange(min=1, max=MOST_PIXELS_A_SIDE),
            nargs=2,
            metavar="W H",
            help="Width and height of the picture, pixels. Default: the scene's.",
        ),
    ):
        gathered = option(gathered)
    return gathered


def as_arguments(chosen: dict[str, Any]) -> list[str]:
    """The options that lead to these overrides."""
    arguments = []
    if "width" in chosen:
        arguments += ["--size", str(chosen["width"]), str(chosen["height"])]
    for name in ("spp", "seed"):
        if name in chosen:
            arguments += [f"--{name}", str(chosen[name])]
    return arguments
