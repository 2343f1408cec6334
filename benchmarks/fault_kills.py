"""Renders with kills: each must end with the picture of an undisturbed one, and leave nothing."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fault_cluster import Actor, FaultCluster, kill, surroundings, wait_for
from fault_plans import FIRST, LAST, Kill, Plan, plans
from harness import CORNELL_BOX, say

from arras_ray.client import OVER, SessionRender
from arras_ray.errors import ArrasRayError
from arras_ray.frame_receiver import FrameReceiver
from arras_ray.messages import CHANNELS, FilmState, RDLMessage, RenderStatus
from arras_ray.render_start import render_session
from arras_ray.unit_plan import UnitPlan

NODES = 3
END_SECONDS = 180.0
"""A render that takes longer hangs."""

LOOK_SECONDS = 0.02


@dataclass
class Outcome:
    """What became of a render. kills: what was killed, with the share of samples accepted then. problems: none if all
    is well."""

    plan: Plan
    kills: list[tuple[Kill, str, float]] = field(default_factory=list)
    seconds: float = 0.0
    restarts: Counter[str] = field(default_factory=Counter)
    warnings: tuple[str, ...] = ()
    unattributed: float = 0.0
    """Share of the samples that no mcrt's row has: what is known of an mcrt can die with others."""
    problems: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)


def message_of(width: int, height: int, spp: int, scene: Path = CORNELL_BOX) -> RDLMessage:
    """A scene as it travels."""
    from arras_ray.scene import read_scene

    options = {"width": width, "height": height, "spp": spp}
    return RDLMessage(1, read_scene([scene]).to_bytes(), options=options)


def undisturbed(message: RDLMessage) -> np.ndarray:
    """The picture as `--engine local` renders it: (height, width, 4) f4."""
    from arras_ray import engine
    from arras_ray.local_render import LocalRender

    engine.warm(say)
    with LocalRender(engine.load(message, 2), 2) as render:
        return render.final()


class Onlooker:
    """Watches a render as a user does: its status and its frames, each on a thread of its own."""

    def __init__(self, render: SessionRender) -> None:
        self.status = render.status()
        self.errors: list[str] = []
        self.receiver = FrameReceiver(render.width, render.height)
        self._render = render
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(look,)) for look in (self._status, self._frames)]
        for thread in self._threads:
            thread.start()

    @property
    def share(self) -> float:
        """Accepted samples of all samples."""
        return self.status.samples / max(1, self.status.total_samples)

    def leave(self) -> None:
        """Look no more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _guard(self, look: Any) -> None:
        try:
            look()
        except Exception as error:  # a user's program would end here
            self.errors.append(f"{look.__name__} raised {type(error).__name__}: {error}")

    def _status(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.status = self._render.status()

    def _frames(self) -> None:
        """Until the last frame is there."""
        while not self._over.is_set():
            frame = self._render.frame(self.receiver.version, 0.5)
            if frame is not None:
                self.receiver.receive(frame)
            elif self.receiver.status == "FINISHED":
                return


class Killer:
    """Kills what a plan says in one render after the other."""

    def __init__(self, cluster: FaultCluster, message: RDLMessage, picture: np.ndarray, seed: int) -> None:
        self._cluster = cluster
        self._message = message
        self._picture = picture
        self._seed = seed

    def render(self, plan: Plan) -> Outcome:
        """One render with its kills."""
        outcome = Outcome(plan)
        began = time.monotonic()
        with short_saves(plan.save_seconds):
            render = render_session(plan.definition, self._message, cluster=self._cluster.connected, name=name_of(plan))
        supervisors: set[int] = set()
        try:
            self._disturb(render, outcome, supervisors)
        except (ArrasRayError, TimeoutError) as error:
            outcome.problems.append(f"{type(error).__name__}: {error}")
        finally:
            supervisors |= {a.pid for a in self._cluster.actors(render.name) if a.kind == "supervisor"}
            closing = time.monotonic()
            render.close()
            outcome.seconds = closing - began
        outcome.problems += [f"left behind: {what}" for what in self._cluster.until_nothing_is_left()]
        if outcome.problems:
            outcome.logs = [line for pid in sorted(supervisors) for line in self._cluster.log_of(pid)]
        return outcome

    def _disturb(self, render: SessionRender, outcome: Outcome, supervisors: set[int]) -> None:
        plan = outcome.plan
        draw = random.Random(f"victims {self._seed} {plan.number}")
        onlooker = Onlooker(render)
        helpers: list[threading.Thread] = []
        killed_at = 0.0
        try:
            began_with = self._cluster.lives(render.name)
            for one, delay in zip(plan.kills, plan.delays, strict=True):
                if one.after is not None and killed_at:
                    time.sleep(max(0.0, killed_at + one.after - time.monotonic()))
                else:
                    enough = partial(lambda share: onlooker.share >= share or is_over(onlooker.status), one.share)
                    wait_for(enough, f"{one.share:.0%} of the samples", END_SECONDS)
                if is_over(onlooker.status):
                    break
                victim = wait_for(partial(self._victim, render.name, one.kind, draw), f"a {one.kind} to kill")
                supervisors |= {victim.pid} if victim.kind == "supervisor" else set()
                with saving(render, self._message, outcome) if one.saving else nullcontext():
                    share, killed_at = onlooker.share, time.monotonic()
                    if one.kind == "node":
                        self._cluster.kill_node(victim.node_id)
                        helpers.append(threading.Thread(target=self._another_node, args=(delay,)))
                        helpers[-1].start()
                    else:
                        kill(victim.pid)
                outcome.kills.append((one, victim.name, share))
            wait_for(lambda: is_over(onlooker.status), "the end of the render", END_SECONDS)
            outcome.restarts = self._cluster.lives(render.name) - began_with
            self._judge(render, onlooker, outcome)
        finally:
            outcome.warnings = onlooker.status.warnings
            onlooker.leave()
            for helper in helpers:
                helper.join()
            if outcome.problems:
                outcome.problems.append(f"status at the end: {onlooker.status}")

    def _victim(self, session: str, kind: str, draw: random.Random) -> Actor | None:
        """An actor to kill, or one whose node is to be; None while there is none."""
        actors = self._cluster.actors(session)
        if kind == "node":
            actors = [actor for actor in actors if actor.node_id in self._cluster.nodes and actor.kind != "keeper"]
        else:
            actors = [actor for actor in actors if actor.kind == kind]
        return draw.choice(actors) if actors else None

    def _another_node(self, delay: float) -> None:
        time.sleep(delay)
        self._cluster.add_node()

    def _judge(self, render: SessionRender, onlooker: Onlooker, outcome: Outcome) -> None:
        """Whether the render is what an undisturbed one is."""
        status, problems = render.status(), outcome.problems
        if status.stage != "finished":
            problems.append(f"it {status.stage}: {status.error}")
            return
        if not same_bits(render.final(), self._picture):
            problems.append("the picture is another one")
        log, n_units = render.log(), UnitPlan(render.width, render.height, render.spp).n_units
        if not np.array_equal(np.sort(log), np.arange(n_units)):
            problems.append(f"of {n_units} units {len(np.unique(log))} were accepted, {len(log)} times in all")
        with suppress(TimeoutError):
            wait_for(lambda: onlooker.receiver.status == "FINISHED" or onlooker.errors, "the last frame", 10.0)
        onlooker.leave()
        if not same_bits(onlooker.receiver.rgba, self._picture):
            state = f"{onlooker.receiver.status}, {onlooker.receiver.progress:.1%}"
            problems.append(f"the frames make another picture ({state})")
        problems += onlooker.errors
        outcome.unattributed = 1.0 - sum(row.samples for row in status.mcrts) / status.total_samples


def is_over(status: RenderStatus) -> bool:
    return status.stage in OVER


def name_of(plan: Plan) -> str:
    return f"faults-{plan.number}-{time.monotonic_ns() // 1_000_000 % 1_000_000}"


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool((a.view("u4") == b.view("u4")).all())


@contextmanager
def short_saves(seconds: float) -> Iterator[None]:
    """Sessions that are started now save their films so often."""
    from arras_ray.actors import launch, orders

    assert launch.Order is orders.Order  # what is launched is told by its class
    original = orders.Order
    orders.Order = partial(original, save_seconds=seconds)  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        orders.Order = original  # type: ignore[misc]


@contextmanager
def saving(render: SessionRender, message: RDLMessage, outcome: Outcome) -> Iterator[None]:
    """While the film is saved, as for a checkpoint. What comes of the save must be whole."""
    states: list[FilmState] = []

    def save() -> None:
        with suppress(ArrasRayError):  # there is no merge and no supervisor at the moment
            states.extend(render.save())

    saver = threading.Thread(target=save)
    saver.start()
    time.sleep(0.003)
    yield
    saver.join()
    plan = UnitPlan(render.width, render.height, render.spp)
    for state in states:
        passes, tiles = np.nonzero(state.order)
        rank = {int(tile): i for i, tile in enumerate(plan.units(np.arange(plan.n_tiles))["tile"])}
        ids = passes * plan.n_tiles + np.array([rank[int(state.tiles[tile])] for tile in tiles], "i8")
        if int(plan.samples(ids).sum()) != int(state.sums[..., CHANNELS.index("count")].sum()):
            outcome.problems.append("a save holds other samples than it says")


def run(renders: int, seed: int, only: int | None, width: int, height: int, spp: int) -> dict[str, Any]:
    """All renders, or one of them again; returns the figures. Prints a line for each."""
    chosen = [plan for plan in plans(renders, seed) if only is None or plan.number == only]
    message = message_of(width, height, spp)
    say("rendering the picture without faults")
    picture = undisturbed(message)
    outcomes: list[Outcome] = []
    while len(outcomes) < len(chosen):
        with surroundings() as folder, FaultCluster(folder, NODES) as cluster:
            killer = Killer(cluster, message, picture, seed)
            while len(outcomes) < len(chosen):
                outcome = killer.render(chosen[len(outcomes)])
                outcomes.append(outcome)
                tell(outcome)
                if outcome.problems:
                    command = f"--renders {renders} --seed {seed} --size {width}x{height} --spp {spp}"
                    say(f"    again: python benchmarks/faults.py kills {command} --only {outcome.plan.number}")
                    break  # the others shall begin with a cluster that is well
    in_time = [one for outcome in outcomes for one, _, share in outcome.kills if FIRST <= share <= LAST]
    counts = Counter(one.kind for one in in_time)
    return {
        "renders": len(outcomes),
        "failed": [outcome.plan.number for outcome in outcomes if outcome.problems],
        "kills": dict(sorted(counts.items())),
        "during_restarts": sum(one.after is not None for one in in_time),
        "during_saves": sum(one.saving for one in in_time),
        "kills_that_came_too_late": sum(len(plan.kills) for plan in chosen) - len(in_time),
        "restarts": sum(outcome.restarts.total() for outcome in outcomes),
        "most_unattributed": round(max(outcome.unattributed for outcome in outcomes), 4),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        "seed": seed,
    }


def tell(outcome: Outcome) -> None:
    """A line for a render; if something is wrong all that is known."""
    kills = "; ".join(f"{victim} ({one.kind}) at {share:.0%}" for one, victim, share in outcome.kills)
    plan = outcome.plan
    end = "ok" if not outcome.problems else "NOT OK"
    say(
        f"render {plan.number} ({plan.layout}, saves every {plan.save_seconds:g} s): {kills}; "
        f"{outcome.seconds:.1f} s, {outcome.restarts.total()} restarts, {len(outcome.warnings)} warnings"
        f"{f', {outcome.unattributed:.1%} of nobody' if outcome.unattributed else ''}: {end}"
    )
    if not outcome.problems:
        return
    say(f"    planned: {'; '.join(map(str, plan.kills))}")
    say(f"    restarted: {dict(outcome.restarts)}")
    for problem in outcome.problems:
        say(f"    {problem}")
    for warning in outcome.warnings:
        say(f"    warning: {warning}")
    for line in outcome.logs:
        say(f"    supervisor: {line}")
