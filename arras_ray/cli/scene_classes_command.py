"""`arras-ray scene classes`: the classes of RDL2, and the attributes of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from arras_ray.cli.options import debug_option
from arras_ray.cli.text import filled_columns, table_text
from arras_ray.errors import UsageError

if TYPE_CHECKING:
    from arras_ray.scene import Attribute, SceneClass, Schema

SCHEMA = 1
"""Of `--json`. Rises when a field goes away or changes its meaning; new fields may come without."""


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@debug_option
def classes(name: str | None, as_json: bool) -> None:
    """List the classes of scene objects or, with NAME, the attributes of one.

    Flags: b it can be bound to another object; m it has two values, one at each motion step; f it is a file name.
    """
    from arras_ray.scene import load_schema

    schema = load_schema()
    if name is None:
        found = [scene_class for each in schema if (scene_class := schema.find(each)) is not None]
        told: Any = {"classes": [class_json(one) for one in found]}
        text = classes_table(found)
    else:
        one = named_class(schema, name)
        told = class_json(one) | {"attributes": [attribute_json(each) for each in one.attributes.values()]}
        text = f"{class_line(one)}\n{attributes_table(one)}"
    click.echo(json.dumps({"schema": SCHEMA, **told}) if as_json else text)


def named_class(schema: Schema, name: str) -> SceneClass:
    """The class of this name. Raises UsageError."""
    found = schema.find(name)
    if found is None:
        closest = schema.closest(name)
        hint = f"did you mean {closest}?" if closest else "arras-ray scene classes lists all"
        raise UsageError(f"there is no scene class '{name}'", hint=hint)
    return found


def class_json(one: SceneClass) -> dict[str, Any]:
    """A class without its attributes."""
    return {
        "name": one.name,
        "kind": one.kind,
        "parents": list(one.parents),
        "interfaces": sorted(one.interfaces),
        "n_attributes": len(one.attributes),
    }


def attribute_json(attribute: Attribute) -> dict[str, Any]:
    """An attribute as its class declares it."""
    from arras_ray.cli.scene_values import value_json

    return {
        "name": attribute.name,
        "type": attribute.type.name,
        "default": value_json(attribute.default),
        "bindable": attribute.bindable,
        "blurrable": attribute.blurrable,
        "filename": attribute.filename,
        "object_type": attribute.object_type,
        "aliases": list(attribute.aliases),
        "labels": dict(attribute.labels),
    }


def classes_table(found: list[SceneClass]) -> str:
    """A row for each class."""
    rows = [(one.name, one.kind, len(one.attributes), " ".join(sorted(one.interfaces))) for one in found]
    return table_text(("class", "kind", "attributes", "interfaces"), rows, indent="")


def class_line(one: SceneClass) -> str:
    """What a class is, in one line."""
    parents = f", a {' < '.join(one.parents)}" if one.parents else ""
    interfaces = f"; {' '.join(sorted(one.interfaces))}" if one.interfaces else ""
    return f"{one.name}: {one.kind}{parents}{interfaces}"


def attributes_table(one: SceneClass) -> str:
    """A row for each attribute."""
    from arras_ray.cli.scene_values import CUT, stored_text

    rows = []
    for attribute in one.attributes.values():
        flags = zip("bmf", (attribute.bindable, attribute.blurrable, attribute.filename), strict=True)
        said = {
            f"also {', '.join(map(repr, attribute.aliases))}": attribute.aliases,
            ", ".join(f"{number} {label}" for label, number in attribute.labels.items()): attribute.labels,
            f"takes {attribute.object_type}": attribute.object_type,
        }
        rows.append(
            (
                attribute.name,
                attribute.type.name,
                stored_text(attribute.default, attribute, CUT),
                "".join(flag for flag, holds in flags if holds),
                "; ".join(text for text, holds in said.items() if holds),
            )
        )
    return filled_columns(("attribute", "type", "default", "flags", ""), rows)
