"""How a command reads its scene: strictly or not, with deltas on top, and with single values set at last.

A command of class `SceneCommand` with `reading_options` gets a `Reading` as its argument `reading`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arras_ray.cli.text import shown
from arras_ray.errors import SceneError, UsageError

if TYPE_CHECKING:
    from arras_ray.scene import SceneContext, SceneWarning


@dataclass(frozen=True)
class Edit:
    """One change of a scene as the command line says it: the option and what it takes."""

    option: str
    words: tuple[str, ...]

    def apply(self, context: SceneContext) -> None:
        """Change the scene. Raises SceneError that names the option."""
        from arras_ray.scene import bind_from_text, set_from_text

        try:
            if self.option == "--attr-bind":
                bind_from_text(context, *self.words)
            elif self.option == "--attr-set":
                set_from_text(context, *self.words)
            else:
                set_from_text(context, context.variables.name, *self.words)
        except SceneError as error:
            said = f"{self.option} {' '.join(self.words)}"
            raise type(error)(f"{said}: {error.message}", hint=error.hint, **error.fields) from error


@dataclass(frozen=True)
class Reading:
    """strict: a value that is skipped is an error. variables: (name, Lua expression) of globals that are there before
    the first program runs. deltas: files on top of the scene, in order. edits: changes after all files."""

    strict: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    deltas: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()

    def read(self, files: Sequence[str]) -> SceneContext:
        """The scene these files make, committed. Raises SceneError, UsageError for variables that no file can use."""
        from arras_ray.scene import read_delta, read_scene
        from arras_ray.scene.files import RDLB

        if self.variables and all(Path(file).suffix.lower() == RDLB for file in (*files, *self.deltas)):
            raise UsageError(f"--rdla-set {self.variables[0][0]}: no file is RDLA, and RDLB has no Lua variables")
        context = read_scene(files, strict=self.strict, variables=dict(self.variables))
        for delta in self.deltas:
            read_delta(context, delta, strict=self.strict)
        for edit in self.edits:
            edit.apply(context)
        context.commit()
        return context

    def as_arguments(self) -> list[str]:
        """The options that lead to this."""
        arguments = ["--strict"] if self.strict else []
        for name, expression in self.variables:
            arguments += ["--rdla-set", name, expression]
        for delta in self.deltas:
            arguments += ["--delta", delta]
        for edit in self.edits:
            arguments += [edit.option, *edit.words]
        return arguments


class ReadingOption(click.Option):
    """An option that says how a scene is read."""


_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--strict", {"is_flag": True, "help": "A value of the scene that is skipped is an error, not a warning."}),
    (
        "--delta",
        {"metavar": "FILE", "help": "Put this file on top of the scene; it sees no Lua variables of other files."},
    ),
    (
        "--attr-set",
        {"metavar": "OBJECT ATTRIBUTE VALUE", "nargs": 3, "help": "Set an attribute, after all files: 1,0.5,0 or on."},
    ),
    (
        "--attr-bind",
        {"metavar": "OBJECT ATTRIBUTE OBJECT", "nargs": 3, "help": 'Bind an attribute to an object; to "" for none.'},
    ),
    ("--scene-var", {"metavar": "NAME VALUE", "nargs": 2, "help": "Set a scene variable, after all files."}),
    (
        "--rdla-set",
        {"metavar": "NAME EXPRESSION", "nargs": 2, "help": "A Lua variable that is there before the files are read."},
    ),
)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how a scene is read. All but --strict may be repeated."""
    for name, details in reversed(_OPTIONS):
        multiple = "nargs" in details or name == "--delta"
        option = click.option(name, cls=ReadingOption, expose_value=False, multiple=multiple, **details)
        command = option(command)
    return command


class SceneCommand(click.Command):
    """A command with `reading_options`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # click gives each option's values by themselves; a value set after a binding is not one set before it
        given, _, order = self.make_parser(ctx).parse_args(args=list(args))
        rest = super().parse_args(ctx, args)
        ctx.params["reading"] = _reading(given, order)
        return rest


def _reading(given: dict[str, Any], order: Iterable[click.Parameter]) -> Reading:
    """given: values by the name of their option, as lists where it may be repeated. order: options as they came."""
    variables: list[tuple[str, str]] = []
    deltas: list[str] = []
    edits: list[Edit] = []
    waiting = {name: iter(values) for name, values in given.items() if isinstance(values, list)}
    for option in order:
        if not isinstance(option, ReadingOption) or not option.multiple or option.name is None:
            continue
        value = next(waiting[option.name])
        if option.name == "delta":
            deltas.append(value)
        elif option.name == "rdla_set":
            variables.append((value[0], value[1]))
        else:
            edits.append(Edit(option.opts[0], tuple(value)))
    return Reading(bool(given.get("strict")), tuple(variables), tuple(deltas), tuple(edits))


def tell_skipped(context: SceneContext) -> None:
    """Say on stderr what of a scene was skipped."""
    for text in grouped(context.warnings):
        click.echo(f"warning: {shown(text)}", err=True)


def grouped(warnings: Iterable[SceneWarning]) -> list[str]:
    """One text for all warnings that say the same, with the place of the first and the count of the rest."""
    warnings = list(warnings)
    first = {warning.message: warning for warning in reversed(warnings)}
    more = Counter(warning.message for warning in warnings)
    return [
        str(first[message]) + (f" (and {more[message] - 1} more like it)" if more[message] > 1 else "")
        for message in dict.fromkeys(warning.message for warning in warnings)
    ]
