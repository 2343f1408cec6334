"""What a supervisor that is started again finds of its session, on a real Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import ray
from session_stage import nothing_is_left
from waiting import PATIENCE, until

from arras_ray.actors import groups
from arras_ray.actors import roster as actors_roster
from arras_ray.actors.cluster import Cluster
from arras_ray.actors.nodes import nodes
from arras_ray.actors.roster import Roster
from arras_ray.session.definition import SessionDefinition

SESSION = "roster-test"


@pytest.fixture
def roster(ray_here: Cluster, definition: SessionDefinition) -> Iterator[Roster]:
    """One that has its places."""
    roster = Roster(SESSION, definition.expand(2), None)
    roster.reserve_now(lambda: False)
    yield roster
    groups.remove_now(SESSION)
    until(nothing_is_left, "the places to be given back")


def places(roster: Roster) -> dict[str, tuple[str, int]]:
    """Each member's group and bundle."""
    found = {}
    for member in roster.members.values():
        assert member.place is not None
        found[member.name] = member.place.group.id.hex(), member.place.bundle
    return found


def again(definition: SessionDefinition) -> Roster:
    """The roster of the supervisor that comes after."""
    roster = Roster(SESSION, definition.expand(2), None)
    assert roster.adopt()
    return roster


def test_places_are_found_again(roster: Roster, definition: SessionDefinition) -> None:
    assert places(again(definition)) == places(roster)


def test_places_are_found_again_when_nobody_is_where_it_began(roster: Roster, definition: SessionDefinition) -> None:
    for member in roster.members.values():
        if member.kind != "mcrt":
            roster.find_place(member)
    assert SESSION not in groups.find(SESSION)  # nobody was left in it
    assert places(again(definition)) == places(roster)


def test_a_place_that_is_still_coming_is_waited_for(
    roster: Roster, definition: SessionDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.util.placement_group import placement_group, remove_placement_group

    mcrt = roster.mcrts[0]
    assert mcrt.place is not None
    cores = mcrt.place.cores
    roster.give_back(mcrt)
    until(lambda: len(groups.find(SESSION)) == 2, "its group to be gone")
    until(lambda: ray.available_resources().get("CPU") == cores, "its cores to be free")
    there = nodes()
    in_the_way = placement_group([{"CPU": cores}])
    assert in_the_way.wait(PATIENCE)
    monkeypatch.setattr(actors_roster, "nodes", lambda: there)  # as if somebody else had been quicker
    roster.find_place(mcrt)
    waited = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: remove_placement_group(in_the_way))
    monkeypatch.setattr(groups, "time", waited)
    assert places(again(definition)) == places(roster)


def test_half_a_reservation_is_given_back(roster: Roster, definition: SessionDefinition) -> None:
    from ray.util.placement_group import remove_placement_group

    remove_placement_group(groups.find(SESSION)[SESSION][0].group)
    until(lambda: SESSION not in groups.find(SESSION), "the common group to be gone")
    assert not Roster(SESSION, definition.expand(2), None).adopt()
    assert groups.find(SESSION) == {}
