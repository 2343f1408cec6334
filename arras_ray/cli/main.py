"""The `arras-ray` command: its sub-commands, and how errors and exit codes leave it.

Nothing heavy is imported here: each command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from arras_ray import __version__
from arras_ray.cli.debug_pixel_command import debug_pixel
from arras_ray.cli.guard import told
from arras_ray.cli.interrupt import work_left_behind
from arras_ray.cli.options import Settings
from arras_ray.cli.render_command import render
from arras_ray.cli.report import known_error
from arras_ray.cli.scene_command import scene
from arras_ray.cli.session_command import session
from arras_ray.cli.sessions_command import logs, ps, scale, stop
from arras_ray.cli.view_command import view
from arras_ray.cli.warm_command import warm
from arras_ray.errors import ArrasRayError, Interrupted, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="arras-ray", message="%(prog)s %(version)s")
def cli() -> None:
    """Render MoonRay scenes progressively, on this machine or on a Ray cluster."""


cli.add_command(render)
cli.add_command(debug_pixel)
cli.add_command(ps)
cli.add_command(logs)
cli.add_command(scale)
cli.add_command(scene)
cli.add_command(session)
cli.add_command(stop)
cli.add_command(view)
cli.add_command(warm)


def run(arguments: Sequence[str], *, own_process: bool = False) -> int:
    """Run one command line and return its exit code. Errors are told on stderr in one sentence and a hint.

    own_process: the command may fork, and its child return here as well.
    """
    settings = Settings(own_process=own_process)
    try:
        code = cli.main(args=list(arguments), prog_name="arras-ray", standalone_mode=False, obj=settings)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UsageError.exit_code
    except click.ClickException as error:
        return tell(UsageError(error.format_message(), hint=f"see {command_of(error)} --help"))
    except (KeyboardInterrupt, click.Abort):
        print("arras-ray: interrupted", file=sys.stderr)
        return Interrupted.exit_code
    except BrokenPipeError:
        # Who read our output has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ArrasRayError.exit_code
    except Exception as error:
        if settings.debug:
            traceback.print_exc()
        return tell(error)
    return code if isinstance(code, int) else 0


def command_of(error: click.ClickException) -> str:
    """The command line up to where the usage error was found."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "arras-ray"


def tell(error: Exception) -> int:
    """Say on stderr what went wrong, return the exit code."""
    error = known_error(error)
    print(f"arras-ray: {error}", file=sys.stderr)
    if "text" in error.fields:
        print(error.fields["text"], file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def main() -> NoReturn:
    """Entry point of the installed command."""
    code = run(sys.argv[1:], own_process=True)
    told()
    if work_left_behind():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
