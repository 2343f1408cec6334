"""Telling the members of a session of edits, where some of that gets lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import RayTaskError

from arras_ray.actors.calls import Calls, Silent
from arras_ray.actors.handshake import Joined, Picture, Pulse
from arras_ray.actors.mcrt import Mcrt
from arras_ray.actors.roster import READY, Roster
from arras_ray.actors.saves import Saves
from arras_ray.actors.wiring import Wiring
from arras_ray.edits import edit
from arras_ray.errors import ArrasRayError
from arras_ray.messages import UNIT, Lease, RDLMessage
from arras_ray.scene import SceneContext, rdlb
from arras_ray.session.definition import parse_definition

DEFINITION = """{"computations": {
    "dispatch": {"dso": "libcomputation_progmcrt_dispatch.so"},
    "mcrt": {"dso": "libcomputation_progmcrt.so"},
    "merge": {"dso": "libcomputation_progmcrt_merge.so"}
}}"""

LIVES = {"dispatch": 7, "mcrt": 8, "merge": 9}


class Engine:
    """Has a scene, and no picture."""

    width, height, spp = 32, 32, 1

    def __init__(self, payload: bytes) -> None:
        self.context = SceneContext.from_bytes(payload)

    def edit(self, messages: list[RDLMessage]) -> None:
        for message in messages:
            rdlb.decode(message.payload, self.context)

    def render(self, units: np.ndarray, word: np.ndarray) -> tuple[Any, ...]:
        return units[:0], np.zeros(0), 0, 0, None


def load(message: RDLMessage, threads: int) -> Engine:
    return Engine(message.payload)


class Network(Calls):
    """Calls that arrive at once, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.loses = False

    def ask(
        self, ref: Any, heard: Callable[[Any], None], failed: Callable[[Exception], None], seconds: float = 30.0
    ) -> None:
        if ref == "lost":
            failed(Silent("it was lost"))
        elif isinstance(ref, Exception):
            failed(ref)
        else:
            heard(None)

    def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if self.loses:
            return "lost"
        try:
            method(*arguments)
        except Exception as error:
            return RayTaskError(method.__name__, "", error)
        return "arrived"


class Handle:
    """Of an actor: `handle.method.remote(...)`."""

    def __init__(self, network: Network, actor: Any) -> None:
        self._network, self._actor = network, actor

    def __getattr__(self, name: str) -> Any:
        network, method = self._network, getattr(self._actor, name)

        class Method:
            def remote(self, *arguments: Any) -> Any:
                return network.call(method, *arguments)

        return Method()


class Shown:
    """A dispatch or a merge."""

    sync_id = 1

    def show(self, picture: Picture) -> None:
        self.sync_id = picture.sync_id


def wired(network: Network, actors: dict[str, Any], fail: Callable[[ArrasRayError], None]) -> Wiring:
    """A session that renders; mcrt is loaded."""
    roster = Roster("wiring", parse_definition(DEFINITION, "wiring").expand(1), None)
    wiring = Wiring(roster, network, Saves(roster, network, None), "scene", (), fail=fail, out=_fails)
    for member in roster.members.values():
        member.actor, member.life, member.begun = Handle(network, actors[member.kind]), LIVES[member.kind], True
        member.joined, member.pulse = Joined(member.name, "node", "id", 1, 1.0, 1, ""), Pulse("ready")
    (merge,), (mcrt,), dispatch = roster.merges, roster.mcrts, roster.dispatch
    merge.wires, dispatch.wires = (dispatch.life,), (merge.life,)
    mcrt.wires, mcrt.introduced = (dispatch.life, merge.life), dispatch.life
    mcrt.become(READY)
    wiring.loaded = mcrt.loaded = actors["mcrt"]._loaded
    return wiring


def _fails(*arguments: Any) -> None:
    raise AssertionError(arguments)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["near", "far", "focal"]), st.booleans(), st.booleans()), max_size=8))
def test_every_edit_is_heard_once_calls_arrive_again(steps: list[tuple[str, bool, bool]]) -> None:
    """steps: what an edit sets, whether the calls that tell of it are lost, whether the supervisor looks afterwards."""
    context = SceneContext()
    context.create("PerspectiveCamera", "camera")
    network = Network()
    mcrt, merge, dispatch = Mcrt("mcrt", "wiring", 8, 1, engine="test_wiring:load"), Shown(), Shown()
    mcrt.load(RDLMessage(1, context.to_bytes()))
    wiring = wired(network, {"mcrt": mcrt, "merge": merge, "dispatch": dispatch}, _fails)
    context.commit()
    sync_id = 1
    for sync_id, (attribute, loses, looks) in enumerate(steps, 2):
        network.loses = loses
        context["camera"].set(attribute, float(sync_id))
        wiring.edit([edit(sync_id, context.delta().to_rdlb(), {})], sync_id - 1)
        context.commit()
        if looks:
            wiring.arrange()
    network.loses = False
    for _ in range(3):
        wiring.arrange()
    mcrt.render(Lease(1, sync_id, "mcrt", np.zeros(1, UNIT)))
    assert mcrt._engine.context == context
    assert merge.sync_id == dispatch.sync_id == sync_id


def test_a_member_that_cannot_follow_an_edit_ends_the_session_once() -> None:
    class Full(Shown):
        def show(self, picture: Picture) -> None:
            raise MemoryError("no room")

    context = SceneContext()
    network, told = Network(), list[ArrasRayError]()
    mcrt = Mcrt("mcrt", "wiring", 8, 1, engine="test_wiring:load")
    mcrt.load(RDLMessage(1, context.to_bytes()))
    wiring = wired(network, {"mcrt": mcrt, "merge": Full(), "dispatch": Shown()}, told.append)
    wiring.edit([edit(2, b"", {"width": 64, "height": 64})], 1)
    for _ in range(5):
        wiring.arrange()
    (error,) = told
    assert "merge" in str(error)
    assert "no room" in str(error)
