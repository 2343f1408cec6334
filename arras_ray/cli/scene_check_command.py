"""`arras-ray scene check`: what is wrong with a scene, what it names in vain, and what is not drawn of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import click

from arras_ray.cli.options import debug_option
from arras_ray.cli.reading import Reading, SceneCommand, reading_options
from arras_ray.cli.text import shown
from arras_ray.errors import SceneError

if TYPE_CHECKING:
    from arras_ray.scene import SceneContext

SCHEMA = 1
"""Of `--json`. Rises when a field goes away or changes its meaning; new fields may come without."""

LEVELS = {
    "error": ("error", "errors"),
    "warning": ("warning", "warnings"),
    "missing": ("missing file", "missing files"),
    "undrawn": ("kind of thing not drawn as asked", "kinds of things not drawn as asked"),
}
"""Of a finding, and what one and several of them are called."""


@dataclass(frozen=True)
class Finding:
    """One thing to know of a scene. line counts from 1, offset (of RDLB) from 0; None and "" for what is unknown."""

    level: str
    message: str
    hint: str = ""
    file: str = ""
    line: int | None = None
    offset: int | None = None
    object: str = ""
    attribute: str = ""

    @staticmethod
    def of(error: SceneError) -> Finding:
        """An error that ended the reading."""
        places = {
            name: error.fields[name]
            for name in ("file", "line", "offset", "object", "attribute")
            if name in error.fields
        }
        return Finding("error", error.message, error.hint, **places)

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        what = self.object + (f".{self.attribute}" if self.attribute else "")
        return ": ".join(part for part in (place, self.level, what, self.message) if part)


@click.command(cls=SceneCommand)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@debug_option
def check(files: tuple[str, ...], as_json: bool, reading: Reading) -> int:
    """Say what is wrong with a scene, which files it names that are not there, and what is not drawn of it.

    All files together are one scene, as they are for render. Exits with 3 if there are errors; what render would refuse
    is one, as is a value that is skipped with --strict.
    """
    context, findings = found_in(files, reading)
    ok = not any(finding.level == "error" for finding in findings)
    if as_json:
        told = {"files": files, "objects": len(context or ()), "ok": ok, "findings": [asdict(one) for one in findings]}
        click.echo(json.dumps({"schema": SCHEMA, **told}))
    else:
        for finding in findings:
            click.echo(shown(str(finding)))
            if finding.hint:
                click.echo(shown(f"  hint: {finding.hint}"))
        click.echo(shown(f"{' '.join(files)}: {summary(context, findings)}"))
    return 0 if ok else SceneError.exit_code


def found_in(files: tuple[str, ...], reading: Reading) -> tuple[SceneContext | None, list[Finding]]:
    """The scene, None if it cannot be read, and all that is to be said of it."""
    try:
        context = replace(reading, strict=False).read(files)
    except SceneError as error:
        return None, [Finding.of(error)]
    level = "error" if reading.strict else "warning"
    findings = [
        Finding(level, one.message, "", one.file, one.line or None, None, one.object, one.attribute)
        for one in context.warnings
    ]
    return context, [*findings, *missing(context), *not_drawn(context)]


def missing(context: SceneContext) -> Iterator[Finding]:
    """The files that are named and not there."""
    from arras_ray.scene import assets

    for asset in assets(context):
        if not asset.found:
            at_frame = f", {asset.file}" if asset.file != asset.path else ""
            message = f"there is no file {asset.path}{at_frame}"
            yield Finding("missing", message, object=asset.object.name, attribute=asset.attribute)


def not_drawn(context: SceneContext) -> list[Finding]:
    """What the renderer says of the scene."""
    from arras_ray.undrawn import undrawn

    try:
        return [Finding("undrawn", remark) for remark in undrawn(context)]
    except SceneError as error:
        return [Finding.of(error)]


def summary(context: SceneContext | None, findings: list[Finding]) -> str:
    """How many of what there are."""
    counts = Counter(finding.level for finding in findings)
    told = [f"{counts[level]} {LEVELS[level][counts[level] > 1]}" for level in LEVELS if counts[level]]
    objects = f"{len(context)} object{'s' * (len(context) != 1)}, " if context is not None else ""
    return objects + (", ".join(told) or "ok")
