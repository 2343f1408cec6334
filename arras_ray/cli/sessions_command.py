"""`arras-ray ps`, `logs`, `stop` and `scale`: the sessions of a cluster, from any machine that is a node of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from arras_ray.cli.interrupt import Interrupt
from arras_ray.cli.options import debug_option
from arras_ray.cli.text import clock_text, table_text

if TYPE_CHECKING:
    from arras_ray.overview import ComputationUse, NodeUse, Sessions, SessionUse

SCHEMA = 1
"""Of `ps --json`. Rises when a field goes away or changes its meaning; new fields may come without."""

MB = 1 << 20

address_option = click.option(
    "--address", metavar="HOST:PORT", help="Ray cluster. Default: $RAY_ADDRESS, else a cluster on this machine."
)


@click.command()
@address_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@debug_option
def ps(address: str | None, as_json: bool) -> None:
    """List a cluster's sessions, computations and nodes."""
    with opened(address) as (note, sessions):
        found, nodes = sessions.report(), sessions.nodes()
    click.echo(json.dumps(as_object(found, nodes)) if as_json else "\n".join([note, *lines(found, nodes)]))


@click.command()
@click.argument("session")
@address_option
@debug_option
def stop(session: str, address: str | None) -> None:
    """End a session.

    The render that has started it writes the samples so far and exits with 6.
    """
    with opened(address) as (_, sessions):
        sessions.stop(session)
    click.echo(f"session {session} has ended")


@click.command()
@click.argument("session")
@click.option("--num-mcrt", type=click.IntRange(min=1), metavar="N", required=True, help="Mcrts from now on.")
@click.option("--drain", is_flag=True, help="Mcrts that are too many finish their leases first.")
@address_option
@debug_option
def scale(session: str, num_mcrt: int, drain: bool, address: str | None) -> None:
    """Give a session that renders more mcrts, or fewer.

    More come as there is room for them. Too many end at once, and what they were at is rendered again.
    """
    with opened(address) as (_, sessions):
        sentence = sessions.scale(session, num_mcrt, drain=drain)
    click.echo(f"session {session}: {sentence}")


@click.command()
@click.argument("session")
@click.argument("computation", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the session ends, or Ctrl-C.")
@click.option(
    "-l", "--log-level", type=click.IntRange(0, 5), default=5, help="Lines up to this level, 0 to 5. Default: all."
)
@address_option
@debug_option
def logs(session: str, computation: str | None, follow: bool, log_level: int, address: str | None) -> None:
    """Show what a session's computations wrote."""
    with opened(address) as (_, sessions):
        for line in sessions.log(session, computation, follow=follow):
            if line.level <= log_level:
                click.echo(f"{line.computation}: {line.text}")


@contextmanager
def opened(address: str | None) -> Iterator[tuple[str, Sessions]]:
    """A line on which cluster it is, and its sessions. Ctrl-C throws KeyboardInterrupt."""
    from arras_ray.overview import Sessions, join_cluster

    with Interrupt() as interrupt, ExitStack() as stack:
        with interrupt.held():  # a cluster that is joined halfway cannot be left
            cluster = stack.enter_context(join_cluster(address))
            interrupt.after_ray_started(None)
        yield cluster.note, Sessions(cluster)


def lines(sessions: Sequence[SessionUse], nodes: Sequence[NodeUse]) -> list[str]:
    """What a person reads: a table for each session, then one of the nodes."""
    names = node_names(nodes)
    told = [] if sessions else ["no sessions"]
    for session in sessions:
        if session.answers:
            told.append(f"session {session.name}: {session.stage}, {clock_text(session.age)} old")
            told.append(computations_text(session.computations, names))
        else:
            told.append(f"session {session.name}: its supervisor does not answer")
    rows = [
        (names[node.id], cores(node.free_cpus), cores(node.cpus), node.free_memory // MB, node.memory // MB)
        for node in nodes
        if node.alive
    ]
    told.append(table_text(("node", "free cpus", "of cpus", "free MB", "of MB"), rows, indent=""))
    dead = Counter(node.name for node in nodes if not node.alive)
    if dead:
        told.append("dead nodes: " + ", ".join(name + (f" ({n})" if n > 1 else "") for name, n in sorted(dead.items())))
    return told


def computations_text(computations: Sequence[ComputationUse], names: dict[str, str]) -> str:
    """A row for each. What is not known is left empty."""
    rows = [
        (
            one.name,
            names.get(one.node_id, one.node),
            one.pid or "",
            one.state,
            cores(one.cpus),
            round(one.cpu_percent) if one.age else "",
            one.memory // MB or "",
            one.memory_limit // MB or "",
            clock_text(one.age) if one.age else "",
        )
        for one in computations
    ]
    header = ("computation", "node", "pid", "state", "cpus", "mean CPU %", "MB", "of MB", "age")
    return table_text(header, rows)


def cores(number: float) -> int | float:
    """Ray counts in floats; almost always they are whole."""
    return int(number) if number == int(number) else number


def node_names(nodes: Sequence[NodeUse]) -> dict[str, str]:
    """Names by id; where living nodes share one, as on one machine, the beginning of the id is added."""
    shared = Counter(node.name for node in nodes if node.alive)
    return {node.id: f"{node.name} {node.id[:6]}" if shared[node.name] > 1 else node.name for node in nodes}


def as_object(sessions: Sequence[SessionUse], nodes: Sequence[NodeUse]) -> dict[str, Any]:
    """The object of `--json`, as docs/faults.md describes it."""
    return {
        "schema": SCHEMA,
        "sessions": [asdict(session) | {"answers": session.answers} for session in sessions],
        "nodes": [asdict(node) for node in nodes],
    }
