"""`arras-ray session run`: a session from its start to its end, with texts sent to it and its answers shown."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from arras_ray.cli.interrupt import Interrupt, interruptible
from arras_ray.cli.options import debug_option
from arras_ray.cli.report import known_error
from arras_ray.cli.session_report import SessionEvents, SessionLines, SessionReport
from arras_ray.errors import ComputationError, Interrupted, MessageTimeout, UsageError

if TYPE_CHECKING:
    from arras_ray.session.definition import ComputationSpec
    from arras_ray.session.handle import Session
    from arras_ray.session.message import Message

ANSWER_SECONDS = 30.0

TEXT = "GenericMessage"
"""What a text is sent as."""


@click.command()
@click.argument("file")
@click.option(
    "--send",
    "texts",
    multiple=True,
    metavar="TEXT",
    help="Text for all computations that accept a GenericMessage from the client. May be repeated.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="For all answers; without --send, how long to show what comes. Default: 30; without --send, 0.",
)
@click.option(
    "--dso",
    "targets",
    multiple=True,
    metavar="NAME=TARGET",
    help="Computation for a library of the definition: python:package.module:Class. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Events on stdout, one JSON object a line.")
@click.option(
    "--engine",
    type=click.Choice(["ray", "local"]),
    default="ray",
    show_default=True,
    help="local: without Ray, each computation a process on this machine.",
)
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="Ray cluster; `local` for one of our own. Default: $RAY_ADDRESS, a cluster on this machine, else our own.",
)
@click.option(
    "-l",
    "--log-level",
    type=click.IntRange(0, 5),
    default=3,
    show_default=True,
    help="Show what computations write up to this level: 0 fatal, 1 error, 2 warning, 3 info, 4 debug, 5 trace.",
)
@click.option(
    "--ready-timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For the session to get ready.",
)
@debug_option
def run(
    file: str,
    texts: tuple[str, ...],
    timeout: float | None,
    targets: tuple[str, ...],
    as_json: bool,
    engine: str,
    address: str | None,
    log_level: int,
    ready_timeout: float,
) -> int:
    """Run the session of a definition.

    FILE is a path or a name. Each text is sent once the session is ready, and answered when a message with its source
    id has come from every computation that got it. Then the session is shut down.
    """
    if engine == "local" and address is not None:
        raise UsageError("--address and --engine local, which is this machine", hint="give one of them")
    given, where = given_targets(targets), "local:" if engine == "local" else address
    conversation = Conversation(file, texts, timeout, given, where, log_level, ready_timeout)
    report: SessionReport = SessionEvents(sys.stdout) if as_json else SessionLines(sys.stdout, sys.stderr)
    try:
        with Interrupt() as interrupt:
            conversation.run(report, interrupt)
    except KeyboardInterrupt:
        interrupted = Interrupted("interrupted; the session was shut down")
        report.error(interrupted)
        raise interrupted from None
    except BrokenPipeError:
        raise  # nobody is there to be told
    except Exception as error:
        report.error(known_error(error))
        raise
    return 0


@dataclass(frozen=True)
class Conversation:
    """What a command line asked for. dso: targets by the names of libraries. timeout: None for the usual."""

    file: str
    texts: tuple[str, ...]
    timeout: float | None
    dso: Mapping[str, str]
    address: str | None
    log_level: int
    ready_timeout: float

    def run(self, report: SessionReport, interrupt: Interrupt) -> None:
        """Do it all; what was started has ended on return, and on an error."""
        from arras_ray.session.definition import load_definition
        from arras_ray.session_client import Client

        definition = load_definition(self.file)
        routes = routing_names(definition.expand(dso=self.dso))
        if self.texts and not routes:
            raise UsageError(
                f"no computation of {definition.name} accepts a {TEXT} from the client",
                hint='a block takes what its "messages" allow, as in {"(client)": "*"}; without --send it can be run',
            )
        with Client(self.address) as client:
            with interrupt.held():  # a session that is made halfway cannot be ended
                session = client.create(definition, dso=self.dso, log_level=self.log_level)
            session.listen(log=report.log)
            try:
                # On a thread of its own, so that an interrupt never falls into the session's inner works.
                interruptible(lambda: self._converse(session, routes, report))
            finally:
                interrupt.gentle()
                report.stopped(session.shutdown())
            session.wait_ready(0)  # raises what has ended it, if that was not us

    def _converse(self, session: Session, routes: Mapping[str, str], report: SessionReport) -> None:
        for warning in session.warnings:
            report.warning(warning)
        session.wait_ready(self.ready_timeout)
        report.ready()
        seconds = self.timeout if self.timeout is not None else ANSWER_SECONDS if self.texts else 0.0
        deadline = time.monotonic() + seconds
        texts = {str(uuid.uuid4()): text for text in self.texts}
        for source_id, text in texts.items():
            send_text(session, text, source_id, routes)
        answered: dict[str, set[str]] = {source_id: set() for source_id in texts}
        while not texts or any(set(routes) - senders for senders in answered.values()):
            message = next_message(session, deadline - time.monotonic())
            if message is None:
                break
            report.message(message)
            answered.get(message.source_id, set()).add(message.sender)
        if session.stopped is not None:
            session.wait_ready(0)  # raises what has ended it, if that was a computation
            raise ComputationError(f"session {session.name} was ended by somebody else before all answers had come")
        unanswered = [repr(texts[source_id]) for source_id, senders in answered.items() if not senders]
        if unanswered:
            raise MessageTimeout(
                f"no answer to {', '.join(unanswered)} within {seconds:g} s",
                hint="a computation answers with the source id it got, and the client accepts what its block allows",
            )
        silent = set(routes) - set.intersection(set(routes), *answered.values())
        if silent and texts:
            report.warning(f"{', '.join(sorted(silent))} did not answer everything within {seconds:g} s")


def given_targets(pairs: Sequence[str]) -> dict[str, str]:
    """NAME=TARGET, split. Raise UsageError for anything else."""
    given = {}
    for pair in pairs:
        name, equals, target = pair.partition("=")
        if not (name and equals and target):
            raise UsageError(f"--dso {pair!r} is not NAME=TARGET", hint="as in libmine.so=python:package.module:Class")
        given[name] = target
    return given


def routing_names(computations: Sequence[ComputationSpec]) -> dict[str, str]:
    """Which computations get a text from the client, and under which routing name.

    Most accept it by its type; those of Arras' benchmark sessions accept what is routed as For_ and their own name.
    """
    from arras_ray.session.message import CLIENT

    found = {}
    for computation in computations:
        rule, own = computation.rules.get(CLIENT), f"For_{computation.name}"
        if rule is not None and (rule.takes(TEXT) or own in rule.accept):
            found[computation.name] = TEXT if rule.takes(TEXT) else own
    return found


def send_text(session: Session, text: str, source_id: str, routes: Mapping[str, str]) -> None:
    """Send it to everybody in `routes`."""
    from arras_ray.session.message import GenericMessage

    if TEXT in routes.values():
        session.send(GenericMessage(text), source_id=source_id)
    for name, routing_name in routes.items():
        if routing_name != TEXT:
            session.send(GenericMessage(text), to=(name,), source_id=source_id, routing_name=routing_name)


def next_message(session: Session, seconds: float) -> Message | None:
    """The next message for the client; None if it does not come, or the session has ended as its client wished."""
    with suppress(MessageTimeout):
        for message in session.messages(max(0.0, seconds)):
            return message
    return None
