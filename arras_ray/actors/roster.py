"""The roster of a session: its computations, where each stands, and where a missing one may go."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from arras_ray.actors import groups
from arras_ray.actors.groups import Place
from arras_ray.actors.handshake import Joined, Kept, Loaded, Pulse
from arras_ray.actors.names import find_actor
from arras_ray.actors.nodes import nodes
from arras_ray.errors import ResourcesError
from arras_ray.session.definition import ComputationSpec
from arras_ray.session.placement import place

ABSENT, STARTING, LOADING, COMPILING, READY, LEFT_OUT = (
    "absent", "starting", "loading", "compiling", "ready", "left out"
)  # fmt: skip


FREED_SECONDS = 1.0
"""Ray's count of what is free is at most so old."""

PLACE_SECONDS = 5.0
"""Groups that were checked to fit are there at once, unless another session was quicker;"""
GROUP_SECONDS = 0.05
"""many of them a little later."""

TRIES = 3


def new_life() -> int:
    """A number no earlier life has, also when nobody is left who knows them."""
    return 1 + secrets.randbelow(1 << 30)


@dataclass
class Member:
    """A computation that the session wants. A life begins with each process that is started for it."""

    computation: ComputationSpec
    life: int = 0
    place: Place | None = None
    node: str = ""
    actor: Any = None
    state: str = ABSENT
    since: float = field(default_factory=time.monotonic)
    """When it got into this state."""
    joined: Joined | None = None
    pulse: Pulse | None = None
    loaded: Loaded | None = None
    draining: bool = False
    drained_by: int = -1
    """Life of the dispatch that was told to lease it nothing more."""
    faults: int = 0
    """Lives in a row that ended by its own fault."""
    not_before: float = 0.0
    """A missing one is not started earlier."""
    kept: Kept | None = None
    """A merge's, of its last answer."""
    begun: bool = False
    wires: tuple[int, ...] = ()
    """Lives of the partners it was told of: of a merge the dispatch's; of a dispatch the merges'; of an mcrt both."""
    introduced: int = -1
    """Life of the dispatch that knows this mcrt is ready."""
    shown: tuple[int, str] = (-1, "")
    """Life of the dispatch, and the state it was told of this mcrt."""
    busy: bool = False
    """A call that arranges something is under way."""
    sync_id: int = 0
    """Of the last edit of the scene that it was told of."""

    @property
    def name(self) -> str:
        return self.computation.name

    @property
    def kind(self) -> str:
        return self.computation.kind

    @property
    def present(self) -> bool:
        """It has a process, as far as is known, that has joined and has a heartbeat."""
        return self.actor is not None and self.joined is not None and self.pulse is not None

    def become(self, state: str) -> None:
        """Enter a state."""
        if state != self.state:
            self.state, self.since = state, time.monotonic()

    def leave(self) -> None:
        """Its process is gone; the next one begins a new life."""
        self.actor = self.joined = self.pulse = self.loaded = self.kept = None
        self.begun = self.busy = False
        self.sync_id = 0
        self.wires, self.introduced = (), -1
        self.life = new_life()
        self.become(ABSENT)


class Roster:
    """The members of `session`. Placing raises ResourcesError."""

    def __init__(
        self, session: str, computations: Sequence[ComputationSpec], num_cores: int | None, client_node: str = ""
    ) -> None:
        self.session = session
        self.members: dict[str, Member] = {c.name: Member(c) for c in computations}
        self.lost_nodes: set[str] = set()
        """Nodes that do not answer, whatever Ray says."""
        self._first = tuple(computations)
        self._num_cores = num_cores
        self._client_node = client_node

    @property
    def dispatch(self) -> Member:
        return next(m for m in self.members.values() if m.kind == "dispatch")

    @property
    def merges(self) -> list[Member]:
        """In the order of their shards."""
        return [m for m in self.members.values() if m.kind == "merge"]

    @property
    def first_mcrt(self) -> ComputationSpec:
        """What all mcrts are like."""
        return next(c for c in self._first if c.kind == "mcrt")

    @property
    def mcrts(self) -> list[Member]:
        return [m for m in self.members.values() if m.kind == "mcrt"]

    def reserve_now(self, ended: Callable[[], bool]) -> None:
        """Give every member its place in new groups, and wait until they are there. Raise ResourcesError if it does not
        fit. Returns early when `ended` says that nobody wants the session any more."""
        for _ in range(TRIES):
            made = self._fitting()
            deadline = time.monotonic() + PLACE_SECONDS + len(made) * GROUP_SECONDS
            while not all(group.wait(FREED_SECONDS / 4) for group in made):
                if ended():
                    return
                if time.monotonic() > deadline:
                    break
            else:
                return
            # Two that want the last room may both have got a part of it: give it back, and be earlier or later.
            groups.remove_now(self.session)
            for member in self.members.values():
                member.place = None
            time.sleep(FREED_SECONDS * secrets.randbelow(100) / 100)
        raise ResourcesError(
            "the session would fit, but somebody else was quicker",
            hint="try again, or look with `ray status` at what is in use",
        )

    def _fitting(self) -> list[Any]:
        """Reserve. What another session gave back is counted a moment later, so a no is asked again."""
        deadline = time.monotonic() + FREED_SECONDS
        while True:
            try:
                return self._reserve()
            except ResourcesError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _reserve(self) -> list[Any]:
        placement = place(self._first, nodes(), self._num_cores, client_node=self._client_node)
        together = {self.session: [p for p in placement.placed if p.computation.kind != "mcrt"]}
        alone = {self._own_group(p.computation): [p] for p in placement.placed if p.computation.kind == "mcrt"}
        made = []
        for name, rows in (alone | together).items():  # an adopter that finds the common one finds all
            if rows:
                group, places = groups.make(name, rows)
                made.append(group)
                for placed, where in zip(rows, places, strict=True):
                    member = self.members[placed.computation.name]
                    member.place, member.node = where, placed.node.name
        return made

    def _own_group(self, computation: ComputationSpec) -> str:
        """A name for a new group. That of one that is being removed is not free yet."""
        return f"{self.session}/{computation.name}/{new_life()}"

    def leave_without_place(self) -> list[str]:
        """Forget the members that found no place because their array may be shorter; returns their names."""
        names = [name for name, member in self.members.items() if member.place is None]
        for name in names:
            del self.members[name]
        return names

    def adopt(self) -> bool:
        """Take over what an earlier supervisor has made; False if there is no group yet, or only half of one."""
        found = groups.find_settled(self.session)
        first = found.pop(self.session, [])
        placed = [c for c in self._first if c.kind != "mcrt"]
        for computation in [c for c in reversed(placed) if c.array_min]:
            if len(placed) > len(first):
                placed.remove(computation)
        complete = len(first) == len(placed)
        if not complete and not self._has_begun(found):
            groups.remove_now(self.session)
            return False
        for computation, where in zip(placed, first if complete else (), strict=complete):
            self.members[computation.name].place = where if where.node_id else None
        for group in sorted(found, key=_natural):
            name, (where, *_) = _owner(group), found[group]
            member = self.members.get(name) or self.add(name)
            member.place = where if where.node_id else member.place
        names = names_of_nodes()
        for member in self.members.values():
            member.node = names.get(member.place.node_id, "") if member.place else ""
            try:
                member.actor = find_actor(self.session, member.name)
            except ValueError:
                member.life = new_life()
            else:
                member.become(STARTING)
        return True

    def _has_begun(self, found: Iterable[str]) -> bool:
        """Whether the common group is missing because all that were in it have found other places: then there are
        processes, which start when all groups are there, or groups of their own, which only mcrts have at first."""
        import ray

        actors = {actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)}
        moved = any(self.members[_owner(group)].kind != "mcrt" for group in found if _owner(group) in self.members)
        return moved or any(f"{self.session}/{name}" in actors for name in self.members)

    def add(self, name: str) -> Member:
        """One more mcrt, like the first."""
        index = int(_natural(name)[-2]) if name[-1:].isdigit() else None
        member = self.members[name] = Member(replace(self.first_mcrt, name=name, index=index))
        return member

    def new_name(self) -> str:
        """A name for one more mcrt."""
        base = self.mcrts[0].computation.array or "mcrt"
        taken = {m.computation.index for m in self.mcrts}
        return f"{base}_i{next(i for i in range(len(taken) + 1) if i not in taken)}"

    def find_place(self, member: Member) -> None:
        """Give a member a place, in a group of its own. Raise ResourcesError when there is no room now."""
        self.give_back(member)
        known = [node for node in nodes() if node.id not in self.lost_nodes]
        placement = place((member.computation,), known, self._num_cores, client_node=self._client_node)
        _, (where,) = groups.make(self._own_group(member.computation), placement.placed)
        member.place, member.node = where, placement.placed[0].node.name

    def give_back(self, member: Member) -> None:
        """Take a member's place away; its group goes if it is its own."""
        from ray.util.placement_group import remove_placement_group

        if member.place is None:
            return
        group = member.place.group
        if not any(
            m is not member and m.place is not None and m.place.group.id == group.id for m in self.members.values()
        ):
            remove_placement_group(group)
        member.place = None

    def take_place(self, member: Member) -> Member:
        """Give a member without room the place of an mcrt, which is returned; it has to go.

        Raise ResourcesError if there is none to take.
        """
        usable = [m for m in self.mcrts if m.place is not None and m.place.node_id not in self.lost_nodes]
        if not usable:
            raise ResourcesError(f"there is no place for {member.name} on any node")
        giving = usable[-1]
        member.place, member.node = giving.place, giving.node
        giving.place = None
        return giving


def names_of_nodes() -> dict[str, str]:
    """Names of the living nodes by id."""
    return {node.id: node.name for node in nodes()}


def _owner(group: str) -> str:
    """Whose own group it is."""
    return group.split("/")[-2]


def _natural(name: str) -> list[str]:
    return re.split(r"(\d+)", name)
