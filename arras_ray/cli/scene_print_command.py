"""`arras-ray scene print`: the objects of a scene, their attributes and values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from arras_ray.cli.options import debug_option
from arras_ray.cli.reading import Reading, SceneCommand, reading_options, tell_skipped
from arras_ray.cli.scene_classes_command import named_class
from arras_ray.cli.text import shown

if TYPE_CHECKING:
    from arras_ray.scene import Attribute, SceneContext, SceneObject

SCHEMA = 1
"""Of `--json`. Rises when a field goes away or changes its meaning; new fields may come without."""


@dataclass(frozen=True)
class Choice:
    """What is to be printed. classes, names (globs), attributes: any of these, or of all if there are none."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    attributes: tuple[str, ...]
    non_default: bool

    def of(self, context: SceneContext) -> Iterator[tuple[SceneObject, list[Attribute]]]:
        """Objects with the attributes of each. Raises UsageError for a class that does not exist."""
        for name in self.classes:
            named_class(context.schema, name)
        for item in context:
            kinds = {item.scene_class.name, *item.scene_class.parents}
            if self.classes and kinds.isdisjoint(self.classes):
                continue
            if self.names and not any(fnmatchcase(item.name, name) for name in self.names):
                continue
            attributes = self._attributes(item)
            if attributes or not self.attributes:
                yield item, attributes

    def _attributes(self, item: SceneObject) -> list[Attribute]:
        wanted = {found.name for name in self.attributes if (found := item.scene_class.find(name)) is not None}
        return [
            attribute
            for attribute in item.scene_class.attributes.values()
            if (not self.attributes or attribute.name in wanted)
            and not (self.non_default and item.is_default(attribute.name))
        ]


@click.command("print", cls=SceneCommand)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--class", "classes", multiple=True, metavar="CLASS", help="Objects of this class or, as Light, kind.")
@click.option("--name", "names", multiple=True, metavar="GLOB", help="Objects whose names fit, as '/lights/*'.")
@click.option("--attr", "attributes", multiple=True, metavar="NAME", help="This attribute, of objects that have it.")
@click.option("--non-default", is_flag=True, help="Only what is not at its default.")
@click.option("--full", is_flag=True, help="Long vectors in full. Default: their first elements and their length.")
@reading_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, with vectors in full.")
@debug_option
def print_scene(
    files: tuple[str, ...],
    classes: tuple[str, ...],
    names: tuple[str, ...],
    attributes: tuple[str, ...],
    non_default: bool,
    full: bool,
    as_json: bool,
    reading: Reading,
) -> None:
    """Print the objects of a scene with their values, bindings and both values of what moves.

    All files together are one scene, as they are for render. --class, --name and --attr may be repeated.
    """
    context = reading.read(files)
    tell_skipped(context)
    chosen = Choice(classes, names, attributes, non_default).of(context)
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "objects": [object_json(*each) for each in chosen]}))
        return
    found = False
    for item, its_attributes in chosen:
        found = True
        click.echo(object_text(item, its_attributes, full=full))
    if not found:
        click.echo("no object fits", err=True)


def object_text(item: SceneObject, attributes: Sequence[Attribute], *, full: bool) -> str:
    """An object's class and name, and a line for each attribute."""
    from arras_ray.cli.scene_values import CUT, attribute_text
    from arras_ray.scene.rdla_writer import reference

    most = None if full else CUT
    wide = max((len(one.name) for one in attributes), default=0)
    typed = max((len(one.type.name) for one in attributes), default=0)
    lines = [f"    {one.name:{wide}}  {one.type.name:{typed}}  {attribute_text(item, one, most)}" for one in attributes]
    return shown("\n".join([reference(item), *lines]))


def object_json(item: SceneObject, attributes: Sequence[Attribute]) -> dict[str, Any]:
    """The same for programs."""
    from arras_ray.cli.scene_values import attribute_json

    return {
        "class": item.scene_class.name,
        "name": item.name,
        "attributes": {attribute.name: attribute_json(item, attribute) for attribute in attributes},
    }
