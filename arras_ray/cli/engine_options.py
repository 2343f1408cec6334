"""Options that say who renders: how many, on which cluster, or this process alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from arras_ray.cli.arras_render_options import mcrt_count

_OPTIONS = (
    click.option(
        "--num-mcrt",
        callback=mcrt_count,
        metavar="N|N-M",
        help="Render computations; with N-M, N at the start and up to M where there is room. "
        "Default: one per node, or as --session says.",
    ),
    click.option(
        "--num-cores", type=click.IntRange(min=1), metavar="N", help="Cores of each mcrt. Default: as the session asks."
    ),
    click.option(
        "-s",
        "--session",
        metavar="NAME",
        help="Session definition, found on ARRAS_SESSION_PATH, then among the built-in ones. "
        "Default: mcrt_progressive, or mcrt_progressive_n for several mcrts.",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="Ray cluster; `local` for one of our own. Default: $RAY_ADDRESS, a cluster on this machine, else our own.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["ray", "local"]),
        default="ray",
        show_default=True,
        help="local: without Ray, in one process.",
    ),
    click.option(
        "--enforce-memory",
        is_flag=True,
        help="End computations that take more than their memoryMB, and start them again.",
    ),
    click.option("--queue", is_flag=True, help="Wait for machines that are in use, in order, instead of failing."),
    click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads of --engine local. Default: all."),
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--num-mcrt, --num-cores, --session, --address, --engine, --enforce-memory, --queue and --threads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
