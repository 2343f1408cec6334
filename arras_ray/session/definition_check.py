"""Checking a session definition: all that is wrong with it, and what it says in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from arras_ray.errors import DefinitionError
from arras_ray.session.computation_spec import ComputationSpec
from arras_ray.session.definition import SessionDefinition
from arras_ray.session.definition_notes import Finding
from arras_ray.session.dso import RENDER_KINDS
from arras_ray.session.message import CLIENT


def check_definition(
    definition: SessionDefinition, num_mcrt: int | None = None, dso: Mapping[str, str] | None = None
) -> list[Finding]:
    """Errors and notes, in the order of the file. num_mcrt and dso: as `expand` has them.

    An error is what `expand` refuses, for each block; a render's own rules where it has MoonRay's libraries; and a
    library that cannot be loaded.
    """
    errors: list[DefinitionError] = []
    notes = definition.findings
    try:
        errors += _of_blocks(definition, num_mcrt, dso)
        if not errors:
            computations = definition.expand(num_mcrt, dso)
            errors += _of_libraries(definition, computations)
            notes += _strangers(definition, computations)
            if {one.kind for one in computations} & set(RENDER_KINDS.values()) and not errors:
                definition.check_render(computations)
    except DefinitionError as error:
        errors.append(error)
    found = [*(Finding.of("error", error) for error in errors), *notes]
    return sorted(found, key=lambda one: (one.line or 0, one.column or 0))


def _of_blocks(
    definition: SessionDefinition, num_mcrt: int | None, dso: Mapping[str, str] | None
) -> Iterator[DefinitionError]:
    """What is wrong with the client's block, and with each of the others alone."""
    yield from _tried(lambda: definition.client_rules)
    yield from _tried(lambda: definition.log_level)
    expansion = definition.expansion(num_mcrt, dso)
    for base in expansion.blocks:
        yield from _tried(partial(expansion.elements, base))


def _tried(read: Callable[[], object]) -> Iterator[DefinitionError]:
    try:
        read()
    except DefinitionError as error:
        yield error


def _of_libraries(definition: SessionDefinition, computations: Sequence[ComputationSpec]) -> Iterator[DefinitionError]:
    for one in computations:
        if one.index:
            continue
        path = ("computations", one.array or one.name)
        if one.unsupported:
            yield definition.source.error((*path, "requirements", "computationAPI"), one.unsupported)
        if one.kind != "python":
            continue
        if not one.target:
            yield definition.source.error(
                (*path, "dso"),
                f"no computation stands for the library {one.dso!r}",
                "Give one with --dso NAME=python:package.module:Class.",
            )
        elif not all(one.target.partition(":")):
            yield definition.source.error(
                (*path, "dso"), f"{one.target!r} names no class", "Write python:package.module:Class."
            )


def _strangers(definition: SessionDefinition, computations: Sequence[ComputationSpec]) -> Iterator[Finding]:
    """Sources of rules that are nobody."""
    parties = {CLIENT, *(one.name for one in computations), *(one.array for one in computations)}
    rules = {CLIENT: definition.client_rules} | {one.array or one.name: one.rules for one in computations}
    for receiver, sources in rules.items():
        for source in sources:
            if source not in parties:
                path = ("computations", receiver, "messages", source)
                message = f"{receiver} accepts messages from {source}, which is nobody: that has no effect"
                yield Finding.of("note", definition.source.error(path, message))
