"""`arras-ray session list`, `check` and `show`: what session definitions there are, say, and would get."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arras_ray.cli.options import debug_option
from arras_ray.cli.session_run import given_targets
from arras_ray.cli.sessions_command import address_option, opened
from arras_ray.cli.text import table_text
from arras_ray.errors import DefinitionError, ResourcesError

if TYPE_CHECKING:
    from arras_ray.session.computation_spec import ComputationSpec
    from arras_ray.session.definition_notes import Finding
    from arras_ray.session.node import NodeFacts

SCHEMA = 1
"""Of `check --json`. Rises when a field goes away or changes its meaning; new fields may come without."""


@dataclass(frozen=True)
class Machines:
    """Where a session would be placed. client_node: see place. note: a sentence on what is overbooked."""

    name: str
    nodes: Sequence[NodeFacts]
    client_node: str
    note: str = ""


num_mcrt_option = click.option(
    "--num-mcrt", type=click.IntRange(min=1), metavar="N", help="Length of the mcrt array, instead of the file's."
)
dso_option = click.option(
    "--dso",
    "targets",
    multiple=True,
    metavar="NAME=TARGET",
    help="Computation for a library of the definition: python:package.module:Class. May be repeated.",
)


@click.command("list")
@debug_option
def list_definitions() -> None:
    """List the session definitions that can be named.

    They are those in the folders of ARRAS_SESSION_PATH, and the built-in ones.
    """
    from arras_ray.session.definition import SUFFIX, definition_files, read_definition

    rows = []
    for path in definition_files():
        try:
            says = read_definition(path).description
        except DefinitionError as error:
            says = f"error: {error}"
        rows.append((path.name.removesuffix(SUFFIX), path, printable(says)))
    click.echo(table_text(("name", "file", "description"), rows, indent=""))


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@num_mcrt_option
@dso_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@debug_option
def check(files: tuple[str, ...], num_mcrt: int | None, targets: tuple[str, ...], as_json: bool) -> int:
    """Say what is wrong with session definitions, and what they say in vain.

    FILE is a path or a name. Exits with 3 if there is an error in any of them.
    """
    from arras_ray.session.definition import load_definition
    from arras_ray.session.definition_check import check_definition
    from arras_ray.session.definition_notes import Finding

    given = given_targets(targets)
    told: dict[str, list[Finding]] = {}
    for file in files:
        try:
            definition = load_definition(file)
            told[definition.file] = check_definition(definition, num_mcrt, given)
        except DefinitionError as error:
            told[error.fields.get("file", file)] = [Finding.of("error", error)]
    if as_json:
        objects = [
            {"file": file, "ok": not has_errors(findings), "findings": [asdict(one) for one in findings]}
            for file, findings in told.items()
        ]
        click.echo(json.dumps({"schema": SCHEMA, "files": objects}))
    else:
        for file, findings in told.items():
            click.echo("\n".join(finding_lines(file, findings)))
    return DefinitionError.exit_code if any(map(has_errors, told.values())) else 0


@click.command()
@click.argument("file")
@num_mcrt_option
@dso_option
@address_option
@debug_option
def show(file: str, num_mcrt: int | None, targets: tuple[str, ...], address: str | None) -> None:
    """Show what becomes of a session definition: its computations, their routes and their places.

    FILE is a path or a name. The places are those the cluster has now or, where there is no cluster, this machine
    alone; if it does not fit, what is asked and free.
    """
    from arras_ray.cli.definition_tables import computations_table, routes_table
    from arras_ray.session.definition import load_definition

    definition = load_definition(file)
    computations = definition.expand(num_mcrt, given_targets(targets))
    description = printable(definition.description)
    click.echo(f"session {definition.name}{': ' if description else ''}{description}")
    click.echo(f"  {definition.file}")
    for note in definition.findings:
        click.echo(f"  note: {note}")
    click.echo(computations_table(computations))
    click.echo("routes:")
    click.echo(routes_table(computations, definition.client_rules))
    with machines(computations, address) as there:
        click.echo("\n".join(placement_lines(computations, there)))


@contextmanager
def machines(computations: Sequence[ComputationSpec], address: str | None) -> Iterator[Machines]:
    """Those of the cluster there is; this machine alone where there is none."""
    from arras_ray.actors.cluster import find

    if find(address) is None:
        yield this_machine(computations)
        return
    with opened(address) as (note, _):
        from arras_ray.actors.nodes import nodes, own_node

        yield Machines(note, nodes(), own_node())


def this_machine(computations: Sequence[ComputationSpec]) -> Machines:
    """A Ray of our own as it would be started for these: it declares at least what they ask."""
    from arras_ray.session.machine import machine_memory, usable_cores
    from arras_ray.session.node import NodeFacts
    from arras_ray.session.placement import embedded_size

    size = embedded_size(computations, usable_cores(), machine_memory())
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    name = platform.node()
    facts = NodeFacts(name, name, size.cpus, size.memory, gpus)
    return Machines("a Ray of its own on this machine", [facts], name, size.note)


def placement_lines(computations: Sequence[ComputationSpec], machines: Machines) -> list[str]:
    """Where each would run now, or why it cannot."""
    from arras_ray.cli.definition_tables import placement_table
    from arras_ray.session.placement import place

    try:
        placement = place(computations, machines.nodes, client_node=machines.client_node)
    except ResourcesError as error:
        return [f"no place now on {machines.name}: {error}", indented(error.text)]
    told = [f"places now on {machines.name}:", placement_table(placement)]
    if placement.left_out:
        told.append(f"  no room, and left out: {', '.join(one.name for one in placement.left_out)}")
    if machines.note:
        told.append(f"  {machines.note}")
    return told


def indented(text: str) -> str:
    """Two spaces before each line."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def finding_lines(file: str, findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, with its hint, then one on the file."""
    told = []
    for one in findings:
        place = ":".join(str(part) for part in (file, one.line, one.column) if part is not None)
        told.append(f"{place}: {one.level}: {one.message}")
        if one.hint:
            told.append(f"  hint: {one.hint}")
    counts = {level: sum(one.level == level for one in findings) for level in ("error", "note")}
    parts = [f"{n} {level}{'s' * (n > 1)}" for level, n in counts.items() if n]
    return [*told, f"{file}: {', '.join(parts) or 'ok'}"]


def has_errors(findings: Sequence[Finding]) -> bool:
    """Whether there is more than notes."""
    return any(one.level == "error" for one in findings)


def printable(text: str) -> str:
    """Text of a file on one line, without what a terminal would take as a command."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
