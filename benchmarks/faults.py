"""What faults do to a render, on a Ray cluster of several nodes on this machine.

kills: renders in which computations and nodes are killed, against one without faults. Other figures: see each command.
"""

from __future__ import annotations

import argparse
import sys

from harness import report


def kills(arguments: argparse.Namespace) -> bool:
    """Renders with three kills each: all must end with the bits of an undisturbed one."""
    import fault_kills

    width, height = map(int, arguments.size.split("x"))
    figures = fault_kills.run(arguments.renders, arguments.seed, arguments.only, width, height, arguments.spp)
    report("faults kills", figures)
    return not figures["failed"]


def moving(arguments: argparse.Namespace) -> bool:
    """Seconds from a node's loss to the next lease elsewhere."""
    import fault_moving

    figures = fault_moving.moving(arguments.runs)
    report("faults moving", figures)
    return all(figures["longest"][how] <= limit for how, limit in figures["limits"].items())


def rework(arguments: argparse.Namespace) -> bool:
    """Samples that are rendered again for each mcrt killed."""
    import fault_moving

    figures = fault_moving.rework(arguments.kills)
    report("faults rework", figures)
    return bool(figures["within"])


def alarms(arguments: argparse.Namespace) -> bool:
    """Computations taken for dead under full load."""
    import fault_load

    figures = fault_load.alarms(arguments.minutes)
    report("faults alarms", figures)
    return not figures["false_alarms"] and not figures["warnings"]


def cost(arguments: argparse.Namespace) -> bool:
    """Speed with the care for faults beside without."""
    import fault_load

    figures = fault_load.cost(arguments.pairs, arguments.spp)
    report("faults cost", figures)
    return bool(figures["cost"]["kernel"] <= 0.02)


def leaks(arguments: argparse.Namespace) -> bool:
    """What is left of many sessions, some of them killed."""
    import fault_leaks

    figures = fault_leaks.run(arguments.sessions)
    report("faults leaks", figures)
    return not figures["leaked"] and not figures["problems"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("kills", help=kills.__doc__)
    command.set_defaults(run=kills)
    command.add_argument("--renders", type=int, default=40)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--only", type=int, help="the number of one of these renders")
    command.add_argument("--size", default="256x256")
    command.add_argument("--spp", type=int, default=512)
    command = commands.add_parser("moving", help=moving.__doc__)
    command.set_defaults(run=moving)
    command.add_argument("--runs", type=int, default=5, help="of each case")
    command = commands.add_parser("rework", help=rework.__doc__)
    command.set_defaults(run=rework)
    command.add_argument("--kills", type=int, default=10)
    command = commands.add_parser("alarms", help=alarms.__doc__)
    command.set_defaults(run=alarms)
    command.add_argument("--minutes", type=float, default=60.0)
    command = commands.add_parser("cost", help=cost.__doc__)
    command.set_defaults(run=cost)
    command.add_argument("--pairs", type=int, default=7)
    command.add_argument("--spp", type=int, default=256)
    command = commands.add_parser("leaks", help=leaks.__doc__)
    command.set_defaults(run=leaks)
    command.add_argument("--sessions", type=int, default=200)
    arguments = parser.parse_args()
    sys.exit(0 if arguments.run(arguments) else 1)


if __name__ == "__main__":
    main()
