"""Options that say who renders: how many, on which cluster, or this process alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any

import click

from arras_ray.cli.arras_render_options import cluster_address, mcrt_count
from arras_ray.cli.engines import Wishes
from arras_ray.errors import UsageError

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


@dataclass(frozen=True)
class EngineOptions:
    """What was given of these options. num_mcrt: at the start and at most."""

    engine: str
    num_mcrt: tuple[int, int] | None
    num_cores: int | None
    session: str | None
    address: str | None
    enforce_memory: bool
    queue: bool
    threads: int | None


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--num-mcrt, --num-cores, --session, --address, --engine, --enforce-memory, --queue and --threads: the command
    gets them as `by`, EngineOptions."""
    names = [field.name for field in fields(EngineOptions)]

    @wraps(command)
    def gathered(*arguments: Any, **others: Any) -> Any:
        return command(*arguments, by=EngineOptions(**{name: others.pop(name) for name in names}), **others)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def wishes_of(given: Mapping[str, Any], by: EngineOptions, **more: Any) -> tuple[Wishes, list[str]]:
    """What these options and arras_render's say together, and what is to be said about them. more: other fields of
    Wishes. Raise UsageError."""
    address, told = cluster_address(given, by.address, ray=by.engine == "ray")
    if by.engine == "local" and "no_local" in given:
        raise UsageError("--no-local and --engine local, which is this machine", hint="give one of them")
    wishes = Wishes(
        num_mcrt=by.num_mcrt and by.num_mcrt[0],
        most_mcrts=by.num_mcrt[1] if by.num_mcrt and by.num_mcrt[1] > by.num_mcrt[0] else None,
        num_cores=by.num_cores,
        session=by.session,
        threads=by.threads,
        enforce_memory=by.enforce_memory,
        queue=by.queue,
        merge_cores=given.get("merge_cores"),
        local_only="local_only" in given,
        no_local="no_local" in given,
        fps=given.get("fps"),
        ready_seconds=given.get("con_timeout"),
        address=address,
        **more,
    )
    return wishes, told
