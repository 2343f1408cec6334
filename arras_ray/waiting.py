"""A client that waits for machines: in line until it is its turn and there is room, then it is placed.

The registry of the cluster keeps the line. One that is lost is made again by whoever waits.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from arras_ray.errors import ClusterError, Interrupted, ResourcesError
from arras_ray.session.computation_spec import ComputationSpec
from arras_ray.session.fairness import Demand
from arras_ray.session.machine import user_name
from arras_ray.session.waiting_line import Queue, Ticket, Turn, Waiting

if TYPE_CHECKING:
    from arras_ray.actors.cluster import Cluster

T = TypeVar("T")

ASK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
"""The registry may have to be started."""

LOST_SECONDS = 60.0
"""Without an answer for so long the registry will not come."""

OTHERS_FIRST = "others are before it"
QUICKER = "somebody else was quicker"


class InLine:
    """The place of a session in the line of a cluster; leaving the block leaves the line.

    Raise ResourcesError, with the table, for what would not fit on the empty cluster either.
    """

    def __init__(
        self,
        cluster: Cluster,
        queue: Queue,
        session: str,
        computations: Sequence[ComputationSpec],
        num_cores: int | None = None,
    ) -> None:
        from arras_ray.actors.nodes import nodes, own_node

        self._cluster, self._queue = cluster, queue
        self._computations, self._num_cores = tuple(computations), num_cores
        self._least = shortened(computations, 0)
        self._client_node = own_node()
        empty = nodes(empty=True)
        if reason := self._obstacle(empty):
            error = reason[1]
            raise ResourcesError(f"the whole cluster is too small: {error.message}", hint=error.hint, **error.fields)
        self._demand = demand_of(
            session, computations, self._least, [node.cpus for node in empty if node.cpus], num_cores
        )
        self._id = secrets.token_hex(8)
        self._came_at = self._answered_at = time.monotonic()
        self._placing = 0
        self._turn: Turn | None = None
        self._told: Waiting | None = None
        self._heard, self._gone = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._ask, name="in-line", daemon=True)
        self._thread.start()

    def place(self, start: Callable[[tuple[ComputationSpec, ...]], T]) -> T:
        """Wait for the turn, then start(computations), some mcrts of which may be left out for now. What it does not
        find room for, with ResourcesError, waits on. Raise Interrupted when the queue is given up; ClusterError."""
        from arras_ray.actors.nodes import nodes

        refused = False
        self._heard.wait(ASK_SECONDS)
        while True:
            turn = self._turn
            reason = self._obstacle(nodes())
            if turn is not None and turn.yours and not reason and not refused:
                self._placing = turn.share
                try:
                    return start(shortened(self._computations, turn.share))
                except ResourcesError:
                    self._placing, refused = 0, True
                continue
            if turn is not None:
                self._tell(turn, reason[0] if reason else QUICKER if refused else OTHERS_FIRST)
            elif time.monotonic() - self._answered_at > LOST_SECONDS:
                raise ClusterError(
                    "the registry of the cluster, which keeps the line, cannot be reached",
                    address=self._cluster.address,
                )
            refused = False
            if self._queue.given_up.wait(ASK_SECONDS):
                raise Interrupted("interrupted while waiting for machines; nothing was started")

    def leave(self) -> None:
        """It is placed, or wants no more. May be called twice."""
        from ray.exceptions import RayError

        from arras_ray.actors import names

        if not self._gone.is_set():
            self._gone.set()
            with suppress(RayError):
                if registry := names.find_registry():
                    registry.leave.remote(self._id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def _obstacle(self, there: Any) -> tuple[str, ResourcesError] | None:
        """Why it cannot be placed on these nodes: in a sentence, and as the error with the table."""
        from arras_ray.session.placement import place

        try:
            place(self._least, there, self._num_cores, client_node=self._client_node)
        except ResourcesError as error:
            row = next((row for row in error.fields["table"] if row.reason), None)
            return (f"{row.computation}: {row.reason}" if row else error.message), error
        return None

    def _tell(self, turn: Turn, reason: str) -> None:
        waiting = Waiting(turn.place, turn.length, reason)
        if waiting != self._told:
            self._told = waiting
            self._queue.told(waiting)

    def _ask(self) -> None:
        """Keep the place in line, until it is left."""
        import ray

        from arras_ray.actors import launch

        registry: Any = None
        while not self._gone.is_set():
            ticket = Ticket(self._id, self._demand, time.monotonic() - self._came_at, self._placing)
            try:
                registry = registry or launch.registry()
                self._turn = ray.get(registry.turn.remote(ticket), timeout=ANSWER_SECONDS)
                self._answered_at = time.monotonic()
                self._heard.set()
            except Exception:  # it is lost, or this process leaves the cluster
                registry, self._turn = None, None
            self._gone.wait(ASK_SECONDS)


def shortened(computations: Sequence[ComputationSpec], share: int) -> tuple[ComputationSpec, ...]:
    """The computations with no more mcrts than this in each array, as far as its arrayMin, or 1, allows; of these too
    any beyond that may be left out."""
    seen: Counter[str] = Counter()
    kept = []
    for one in computations:
        if one.kind == "mcrt" and one.array:
            seen[one.array] += 1
            least = one.array_min or 1
            if seen[one.array] > max(least, share):
                continue
            one = replace(one, array_min=least)
        kept.append(one)
    return tuple(kept)


def demand_of(
    session: str,
    computations: Sequence[ComputationSpec],
    least: Sequence[ComputationSpec],
    nodes: Sequence[float],
    num_cores: int | None,
) -> Demand:
    """What a session wants, `least` of its computations to begin with, on nodes with so many cores each. An mcrt that
    takes a range of cores is taken to get what an average node has of it."""
    mcrts = [one for one in computations if one.kind == "mcrt"]
    cores = 0.0
    if mcrts:
        asked = mcrts[0].resources
        average = sum(nodes) / max(1, len(nodes))
        most = average if asked.max_cores is None else min(asked.max_cores, average)
        cores = num_cores or max(asked.min_cores, most)
    return Demand(
        session,
        user_name(),
        cores,
        least=max(1, sum(one.kind == "mcrt" for one in least)),
        most=max(1, len(mcrts)),
        start=sum(num_cores if num_cores and one.kind == "mcrt" else one.resources.min_cores for one in least),
    )
