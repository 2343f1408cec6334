"""A client that waits to be killed: starts a session on the cluster at ADDRESS, says that it renders, waits."""

from __future__ import annotations

import sys
import time

from fault_kills import message_of
from fault_plans import definition

from arras_ray.actors import cluster
from arras_ray.render_start import render_session

ENDLESS_SPP = 1 << 14


def main() -> None:
    address, name = sys.argv[1:]
    with (
        cluster.connect(address) as connected,
        render_session(definition("together", 1), message_of(128, 128, ENDLESS_SPP), cluster=connected, name=name),
    ):
        print("renders", flush=True)
        time.sleep(3600)


if __name__ == "__main__":
    main()
