"""arras_render's flags on `arras-ray render`: each works, has no effect and says so, or is refused.

SPELLINGS is their table: the options, their group in the help and docs/arras_render.md follow it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from arras_ray.cli.reading import SceneCommand
from arras_ray.errors import UsageError

RAY_PORT = 6379
"""Where a Ray head listens if it was not started with another port."""

ARRAS_PORTS = (8087, 8888)
"""Where coordinators of Arras listen: its own default, and minicoord's."""

PICTURES = (".exr", ".png")

LABELS = ("production", "sequence", "shot", "assetGroup", "asset", "department", "team")
"""What a render is for: attributes of the EXR by these names."""


class Fate(StrEnum):
    """What becomes of a flag."""

    WORKS = "works"
    NO_EFFECT = "no effect"
    REFUSED = "refused"


@dataclass(frozen=True)
class Spelling:
    """A flag of arras_render. value: what it takes, empty for a switch.

    told: what it does; why it has no effect; or why it is refused, with what to do instead. own: `render` has it
    anyhow, and declares it itself.
    """

    names: tuple[str, ...]
    value: str
    fate: Fate
    told: str
    instead: str = ""
    type: click.ParamType[Any] | type[str] = str
    multiple: bool = False
    own: bool = False

    @property
    def key(self) -> str:
        """The name its value has as an argument of the command."""
        return self.names[0].lstrip("-").replace("-", "_")


def _works(names: str, value: str, told: str, **more: Any) -> Spelling:
    return Spelling(tuple(names.split()), value, Fate.WORKS, told, **more)


def _no_effect(why: str, *flags: str) -> list[Spelling]:
    """Flags that have no effect for one reason, each written with what it takes."""
    return [Spelling((name,), value, Fate.NO_EFFECT, why) for name, _, value in (flag.partition(" ") for flag in flags)]


def _refused(why: str, instead: str, *flags: str) -> list[Spelling]:
    return [
        Spelling((name,), value, Fate.REFUSED, why, instead)
        for name, _, value in (flag.partition(" ") for flag in flags)
    ]


SPELLINGS: tuple[Spelling, ...] = (
    _works("--rdl", "FILE", "A scene, like those without a flag. All are read in the order in which they stand."),
    _works("--exr -exr", "FILE", "A picture to write, as -o. May be repeated.", multiple=True),
    _works("--session -s", "NAME", "Session definition.", own=True),
    _works("--num-mcrt", "N or N-M", "N mcrts at the start; up to M join by themselves where there is room.", own=True),
    _works("--num-cores", "N", "Cores of each mcrt; its memory stays as the session asks.", own=True),
    _works("--merge-cores", "N", "Cores of each merge.", type=click.IntRange(min=1)),
    _works("--local-only", "", "All computations on this machine."),
    _works("--no-local", "", "No computation on this machine."),
    _works(
        "--fps",
        "N",
        "How often a second progress is told, and --benchmark asks for a frame. It is the session's fps, too.",
        type=click.IntRange(min=1, max=1000),
    ),
    _works("--host", "HOST", f"Machine of the Ray head, as --address HOST:PORT; PORT is {RAY_PORT} without --port."),
    _works(
        "--port",
        "PORT",
        "Port of the Ray head at --host. It is not the port of an Arras coordinator.",
        type=click.IntRange(min=1, max=65535),
    ),
    _works("--dc", "NAME", "local: a Ray of our own, as --address local. Another name has no effect."),
    _works(
        "--con-timeout -t",
        "SECONDS",
        "How long reaching the cluster and getting ready may take.",
        type=click.IntRange(min=1),
    ),
    _works("--current-env", "", "As always here: a session starts in the environment of its cluster."),
    _works("--no-gui", "", "As always here: the picture goes to a file."),
    _works(
        "--log-level -l",
        "N",
        "0, 1: only errors are told; 2: warnings too, as --quiet; 3: what happens; 4, 5: tracebacks too, as --debug. "
        "--json tells all events at each level.",
        type=click.IntRange(min=0, max=5),
    ),
    _works("--benchmark", "", "Tell when the first frame, 1 %, 10 % and 100 % were received, of two renders in turn."),
    _works("--production -p", "NAME", "Kept in the EXR as production."),
    *(_works(f"--{label}", "NAME", f"Kept in the EXR as {label}.") for label in LABELS if label != "production"),
    *_no_effect("there is no configuration service to ask", "--env NAME"),
    *_no_effect(
        "computations use what is installed on their nodes",
        "--rez-context",
        "--rez-context-file FILE",
        "--rez-packages LIST",
        "--rez-prepend LIST",
    ),
    *_no_effect(
        "there is no window",
        "--overlay",
        "--overlayFont NAME",
        "--overlaySize N",
        "--telemetry",
        "--telemetryPanel NAME",
        "--no-scale",
        "--min-update-ms MS",
    ),
    *_no_effect("the beauty image is the only output", "--aov-interval N"),
    *_no_effect("this command gives no credits and delays nothing", "--auto-credit-off", "--lag-ms MS"),
    *_no_effect("--json tells a program what happens", "--progress-channel NAME", "--showStats"),
    *_no_effect(
        "--json tells a program what happens", "--infoRec SECONDS", "--infoRecDisp SECONDS", "--infoRecFile PREFIX"
    ),
    *_no_effect("messages are not traced", "--trace-level N"),
    *_no_effect("nothing is logged to Athena", "--athena-env NAME"),
    *_no_effect("there is no console; arras-ray ps, scale and stop reach a session that runs", "--debug-console PORT"),
    *_refused("this writes a file", "arras-ray view shows the render in a browser", "--gui"),
    *_refused("there is no start button here", "the page of arras-ray view has one", "--delay"),
    *_refused(
        "scripts work arras_render's window",
        "--json tells a program how far a render is, --time ends it, --exr names its picture",
        "--script FILE",
        "--run-script",
        "--exit-after-script",
    ),
)


IN_THE_VIEW = (
    _works("--gui", "", "As always there: the page is the window."),
    _works("--delay", "", "Begin paused; the page's start button starts."),
    *_refused("a view is its page", "arras-ray render writes a picture without one", "--no-gui"),
    _works("--fps", "N", "The session's fps; a page gets frames as fast as it draws.", type=click.IntRange(1, 1000)),
    _works(
        "--benchmark",
        "",
        "Without a page: when the first frame, 1 %, 10 % and 100 % came, also after an edit.",
        own=True,
    ),
    *_no_effect(
        "the page shows it by itself",
        "--overlay",
        "--overlayFont NAME",
        "--overlaySize N",
        "--telemetry",
        "--telemetryPanel NAME",
        "--no-scale",
        "--progress-channel NAME",
        "--showStats",
        "--infoRec SECONDS",
        "--infoRecDisp SECONDS",
        "--infoRecFile PREFIX",
    ),
    *_no_effect("a page gets frames as fast as it draws", "--min-update-ms MS"),
    *_no_effect("a page acknowledges what it draws, which is its credit", "--auto-credit-off", "--lag-ms MS"),
    *_refused(
        "scripts work arras_render's window",
        "a program changes a scene by deltas, as docs/view.md shows",
        "--script FILE",
        "--run-script",
        "--exit-after-script",
    ),
)

"""What differs on `arras-ray view`."""

VIEW_SPELLINGS: tuple[Spelling, ...] = tuple(
    {own.key: own for own in IN_THE_VIEW}.get(spelling.key, spelling) for spelling in SPELLINGS
)
"""The same flags on `arras-ray view`."""


class SpellingOption(click.Option):
    """An option that stands in the group of arras_render's."""


class RenderCommand(SceneCommand):
    """A command that takes scenes after --rdl as well, and has arras_render's flags in a group of its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, scenes_in_place(args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, ours in (("Options", False), ("arras_render's spellings", True)):
            records = [
                record
                for parameter in self.get_params(ctx)
                if isinstance(parameter, click.Option)
                and isinstance(parameter, SpellingOption) == ours
                and (record := parameter.get_help_record(ctx))
            ]
            with formatter.section(title):
                formatter.write_dl(records)


def mcrt_count(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """N or N-M of --num-mcrt as (at the start, at most), which are equal for a plain number. Raise BadParameter."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is neither a number of mcrts nor a range such as 2-4.")
    least, most = int(match[1]), int(match[2] or match[1])
    if least < 1:
        raise click.BadParameter(f"a render begins with one mcrt at least, not with {least}.")
    if most < least:
        raise click.BadParameter(f"{value} ends below its beginning; {most}-{least} begins with {most}.")
    return least, most


def arras_render_options(table: Sequence[Spelling] = SPELLINGS) -> Callable[..., Any]:
    """All flags of a table that the command does not declare itself."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for spelling in reversed(table):
            if spelling.own:
                continue
            kind: dict[str, Any] = {"is_flag": True}
            if spelling.value:
                kind = {"type": spelling.type, "metavar": spelling.value, "multiple": spelling.multiple}
            option = click.option(spelling.key, *spelling.names, cls=SpellingOption, help=_help(spelling), **kind)
            command = option(command)
        return command

    return decorate


def _help(spelling: Spelling) -> str:
    if spelling.fate is Fate.WORKS:
        return spelling.told
    return f"{str(spelling.fate).capitalize()}: {spelling.told}{'; ' * bool(spelling.instead)}{spelling.instead}."


def scenes_in_place(arguments: Sequence[str]) -> list[str]:
    """`--rdl FILE` and `--rdl=FILE` become FILE where they stand: a later scene overrides an earlier one."""
    flag = "--rdl"
    left = list(arguments)
    placed: list[str] = []
    while left:
        argument = left.pop(0)
        if argument == "--":
            return [*placed, argument, *left]
        if argument.startswith(f"{flag}="):
            argument = argument.removeprefix(f"{flag}=")
        elif argument == flag:
            if not left or left[0].startswith("-"):
                raise click.BadOptionUsage(flag, f"Option '{flag}' requires an argument.")
            continue
        placed.append(argument)
    return placed


def refuse_pictures(scenes: Sequence[str]) -> None:
    """Raise UsageError for a picture in a scene's place: arras_render takes a file without a flag as one to write."""
    for scene in scenes:
        if Path(scene).suffix.lower() in PICTURES:
            raise UsageError(f"{scene} is a picture, and stands where scenes do", hint=f"to write it: --exr {scene}")


def taken(spelled: Mapping[str, Any], table: Sequence[Spelling] = SPELLINGS) -> dict[str, Any]:
    """What of the command's arguments was given, by Spelling.key. Raise UsageError for a flag that is refused."""
    given = {key: value for key, value in spelled.items() if value is not None and value is not False and value != ()}
    for spelling in table:
        if spelling.fate is Fate.REFUSED and spelling.key in given:
            raise UsageError(f"{spelling.names[0]}: {spelling.told}", hint=spelling.instead)
    if "local_only" in given and "no_local" in given:
        raise UsageError("--local-only and --no-local leave no machine", hint="give one of them")
    return given


def without_effect(given: Mapping[str, Any], table: Sequence[Spelling] = SPELLINGS) -> list[str]:
    """One sentence for each reason why some of these flags have no effect."""
    flags: dict[str, list[str]] = {}
    for spelling in table:
        if spelling.fate is Fate.NO_EFFECT and spelling.key in given:
            flags.setdefault(spelling.told, []).append(spelling.names[0])
    return [f"{', '.join(names)}: no effect here, {why}" for why, names in flags.items()]


def labels(given: Mapping[str, Any]) -> dict[str, str]:
    """The labels that were given and say something."""
    return {label: given[label] for label in LABELS if given.get(label)}


def cluster_address(given: Mapping[str, Any], address: str | None, *, ray: bool) -> tuple[str | None, list[str]]:
    """--address as --address, --host and --port, or --dc say it, and what is to be said about that. Raise UsageError.

    ray: whether the render is one on Ray.
    """
    host, port, dc = given.get("host"), given.get("port"), given.get("dc")
    told = [] if dc in (None, "local") else ["--dc: no effect here, there is no configuration service to ask"]
    if not ray:
        told += [f"--{name}: no effect with --engine local" for name in ("host", "port") if name in given]
        return address, told
    if host is None:
        told += ["--port: no effect without --host"] if port is not None else []
        if dc == "local" and address not in (None, "local"):
            told.append("--dc local: no effect beside --address")
        return address or ("local" if dc == "local" else None), told
    if address is not None:
        raise UsageError("--address and --host both name the cluster", hint="give one of them")
    if ":" in host:
        raise UsageError(f"--host takes a name without a port, not {host}", hint=f"write --address {host}")
    if port in ARRAS_PORTS:
        told.append(
            f"--port {port}: Arras' coordinators listen there; here it is the port of a Ray head, "
            f"{RAY_PORT} unless it was started with another"
        )
    if dc == "local":
        told.append("--dc local: no effect beside --host")
    return f"{host}:{port or RAY_PORT}", told
