import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arras_ray.errors import ResourcesError, UsageError
from arras_ray.session.definition import MB, ComputationSpec, Resources
from arras_ray.session.node import NodeFacts, selects
from arras_ray.session.placement import Placement, place
from arras_ray.session.shortage import Shortage

GB = 1024 * MB


def computation(name: str, kind: str, least: float, most: float | None, memory_mb: int = 256) -> ComputationSpec:
    return ComputationSpec(name, kind, Resources(least, most, memory_mb * MB))


def asks(name: str, cores: float = 1, **more: Any) -> ComputationSpec:
    return dataclasses.replace(computation(name, "python", cores, cores), **more)


def star(n: int, least: float = 1, memory_mb: int = 1024) -> list[ComputationSpec]:
    return [computation(f"mcrt_i{i}", "mcrt", least, None, memory_mb) for i in range(n)]


DISPATCH = computation("dispatch", "dispatch", 0, 0)
MERGE = computation("merge", "merge", 0, 0, 512)


def nodes(*cpus: float, memory_gb: float = 64) -> list[NodeFacts]:
    return [NodeFacts(f"id{i}", f"host{i}", n, int(memory_gb * GB)) for i, n in enumerate(cpus)]


def where(placement: Placement) -> dict[str, tuple[str, float]]:
    return {p.computation.name: (p.node.name, p.cores) for p in placement.placed}


def test_one_mcrt_gets_all_free_cores_of_a_node() -> None:
    placement = place([DISPATCH, *star(1), MERGE], nodes(8))
    assert where(placement) == {"dispatch": ("host0", 0), "mcrt_i0": ("host0", 8), "merge": ("host0", 0)}
    assert [p.threads for p in placement.placed] == [1, 8, 1]
    assert placement["mcrt_i0"].memory == GB


def test_mcrts_go_one_to_a_node_while_nodes_last_then_share() -> None:
    assert where(place(star(2), nodes(8, 4))) == {"mcrt_i0": ("host0", 8), "mcrt_i1": ("host1", 4)}
    assert sorted(where(place(star(4), nodes(8, 4))).values()) == [
        ("host0", 4),
        ("host0", 4),
        ("host1", 2),
        ("host1", 2),
    ]
    assert sorted(cores for _, cores in where(place(star(3), nodes(8))).values()) == [2, 3, 3]


def test_fixed_cores_come_first_whatever_the_order() -> None:
    merge = computation("merge", "merge", 3, 3)
    assert where(place([*star(2), merge], nodes(4, 4))) == {
        "mcrt_i0": ("host1", 4),
        "mcrt_i1": ("host0", 1),
        "merge": ("host0", 3),
    }


def test_the_largest_fixed_ones_come_first() -> None:
    asked = [computation(f"m{n}", "merge", n, n) for n in (1, 3, 4)]
    assert {name: host for name, (host, _) in where(place(asked, nodes(4, 4))).items()} == {
        "m4": "host0",
        "m3": "host1",
        "m1": "host1",
    }


def test_a_node_without_memory_is_left_out() -> None:
    small, large = NodeFacts("a", "small", 64, GB // 2), NodeFacts("b", "large", 4, 8 * GB)
    placement = place(star(2), [small, large])
    assert where(placement) == {"mcrt_i0": ("large", 2), "mcrt_i1": ("large", 2)}


def test_limits_of_a_range_are_kept() -> None:
    capped = computation("mcrt_i0", "mcrt", 2, 3)
    assert where(place([capped, *star(2)[1:]], nodes(9))) == {"mcrt_i0": ("host0", 3), "mcrt_i1": ("host0", 6)}
    assert where(place([capped], nodes(9))) == {"mcrt_i0": ("host0", 3)}


def test_num_cores_is_for_each_mcrt_and_they_still_spread() -> None:
    placement = place([DISPATCH, *star(3), MERGE], nodes(8, 8), num_cores=3)
    assert where(placement) == {
        "dispatch": ("host0", 0),
        "mcrt_i0": ("host0", 3),
        "mcrt_i1": ("host1", 3),
        "mcrt_i2": ("host0", 3),
        "merge": ("host0", 0),
    }
    assert placement["mcrt_i0"].computation.resources.max_cores is None
    with pytest.raises(UsageError, match="cannot have 0 cores"):
        place(star(1), nodes(8), num_cores=0)


def test_bundles_hold_what_was_given() -> None:
    placement = place([DISPATCH, *star(1), MERGE], nodes(2))
    assert placement.bundles == [
        {"memory": 256 * MB},
        {"memory": 1024 * MB, "CPU": 2},
        {"memory": 512 * MB},
    ]


def test_fractions_of_cores() -> None:
    thirds = [computation(f"m{i}", "merge", 0.1, 0.1) for i in range(3)]
    assert len(place(thirds, nodes(0.3)).placed) == 3
    assert where(place(star(1), nodes(3.5))) == {"mcrt_i0": ("host0", 3)}
    assert place([computation("m", "merge", 0.5, 0.5)], nodes(1))["m"].threads == 1


@pytest.mark.parametrize(
    ("asked", "there", "reasons"),
    [
        (star(1, least=9), nodes(8, 4), {"mcrt_i0": "no node has as many cores"}),
        (star(1, memory_mb=70_000), nodes(8), {"mcrt_i0": "no node has as much memory"}),
        (star(3), nodes(2), {"mcrt_i0": "", "mcrt_i1": "", "mcrt_i2": "the others leave too little"}),
        (star(1), [], {"mcrt_i0": "there are no nodes"}),
        (
            star(1, least=4, memory_mb=2048),
            [NodeFacts("a", "a", 8, GB), NodeFacts("b", "b", 2, 8 * GB)],
            {"mcrt_i0": "no node has both"},
        ),
    ],
)
def test_what_does_not_fit_is_told_as_a_table(asked: Any, there: Any, reasons: dict[str, str]) -> None:
    with pytest.raises(ResourcesError) as caught:
        place(asked, there)
    error = pickle.loads(pickle.dumps(caught.value))
    assert {row.computation: row.reason for row in error.table} == reasons
    assert error.exit_code == 4
    assert error.hint
    assert json.loads(json.dumps(error.fields))["table"][0][0] == "mcrt_i0"


def test_the_table_for_people() -> None:
    with pytest.raises(ResourcesError, match="1 of 3 computations do not fit") as caught:
        place([DISPATCH, *star(1, least=16, memory_mb=2048), MERGE], nodes(2, memory_gb=4))
    assert caught.value.text.splitlines() == [
        "computation  asked                free",
        "dispatch     0 cores 256 MB       2 cores 4,096 MB on host0",
        "mcrt_i0      16-* cores 2,048 MB  2 cores 4,096 MB on host0  no node has as many cores",
        "merge        0 cores 512 MB       2 cores 4,096 MB on host0",
    ]


def cluster() -> list[NodeFacts]:
    """Two nodes on the machine host0, one of them with a GPU; two other machines."""
    facts = [
        ("id0", "host0", 0, {}),
        ("id1", "host0", 1, {"zone": "a"}),
        ("id2", "host1", 2, {"zone": "b"}),
        ("id3", "host2", 0, {}),
    ]
    return [NodeFacts(id, name, 4, 64 * GB, gpus, labels) for id, name, gpus, labels in facts]


def node_of(wanted: ComputationSpec, client_node: str = "") -> str:
    return place([wanted], cluster(), client_node=client_node)[wanted.name].node.id


def refusal(asked: list[ComputationSpec], there: list[NodeFacts], **how: Any) -> dict[str, str]:
    with pytest.raises(ResourcesError) as caught:
        place(asked, there, **how)
    return {row.computation: row.reason for row in caught.value.table}


def test_a_pin_is_the_machines_name_exactly() -> None:
    assert node_of(asks("a", hostname_pin="host1")) == "id2"
    assert node_of(asks("a", 4, hostname_pin="host0")) == "id0"
    for name in ("host", "host10", "HOST1", "id2"):
        assert refusal([asks("a", hostname_pin=name)], cluster()) == {"a": f"pinned to {name}, which is not there"}


@pytest.mark.parametrize("client_node", ["id1", "id0", "host0"])
def test_the_clients_machine(client_node: str) -> None:
    assert node_of(asks("a", local_only=True), client_node) == "id0"
    assert node_of(asks("a", no_local=True), client_node) == "id2"
    only = [node for node in cluster() if node.name == "host0"]
    assert refusal([asks("a", no_local=True)], only, client_node=client_node) == {
        "a": "never on the client's machine, and there is no other"
    }


@pytest.mark.parametrize("client_node", ["", "elsewhere"])
def test_a_client_outside_the_cluster(client_node: str) -> None:
    assert node_of(asks("a", no_local=True), client_node) == "id0"
    assert refusal([asks("a", local_only=True)], cluster(), client_node=client_node) == {
        "a": "only on the client's machine, which is no node"
    }


def test_gpus_and_labels() -> None:
    assert node_of(asks("a", gpus=1)) == "id1"
    assert node_of(asks("a", gpus=2)) == "id2"
    assert node_of(asks("a", labels={"zone": "b"})) == "id2"
    assert node_of(asks("a", labels={"zone": "in(c, b)"}, gpus=1)) == "id2"
    assert node_of(asks("a", labels={"zone": "!a"})) == "id0"
    assert refusal([asks("a", gpus=3)], cluster()) == {"a": "no node has as many GPUs"}
    assert refusal([asks("a", labels={"zone": "c"})], cluster()) == {"a": "no node has the labels zone: c"}
    assert place([asks("a", 0, gpus=1)], cluster()).bundles == [{"memory": 256 * MB, "GPU": 1}]
    assert refusal([asks(name, gpus=2) for name in "ab"], cluster()) == {"a": "", "b": "the others leave too little"}


@pytest.mark.parametrize(
    ("selector", "values"),
    [
        ("a", ["a"]),
        ("!a", ["b", "c", None]),
        ("in(a,b)", ["a", "b"]),
        ("in(a, b)", ["a", "b"]),
        ("!in(a,b)", ["c", None]),
        ("in", []),
    ],
)
def test_selectors_of_labels(selector: str, values: list[str | None]) -> None:
    assert [value for value in ["a", "b", "c", None] if selects(selector, value)] == values


def test_reasons_of_those_that_may_not_use_every_node() -> None:
    assert refusal([asks("a", 5, hostname_pin="host0")], cluster()) == {
        "a": "no node it may use (host0, host0) has as many cores"
    }
    assert refusal([asks("a", 3, hostname_pin="host2"), asks("b", 3, hostname_pin="host2")], cluster()) == {
        "a": "",
        "b": "the others leave too little on host2",
    }


def test_those_that_not_every_node_may_have_come_first() -> None:
    anywhere, pinned = asks("anywhere", 4), asks("pinned", 1, hostname_pin="host0")
    assert where(place([anywhere, pinned], nodes(4, 4))) == {"anywhere": ("host1", 4), "pinned": ("host0", 1)}


def test_another_order_is_tried_before_it_is_refused() -> None:
    """The fixed one would take the only node that is large enough for the other."""
    large = computation("large", "python", 8, None)
    assert where(place([asks("small", 4), large], nodes(8, 4))) == {"small": ("host1", 4), "large": ("host0", 8)}


def array(n: int, least: int, cores: float = 2, name: str = "mcrt") -> list[ComputationSpec]:
    return [
        dataclasses.replace(asks(f"{name}_i{i}", cores), array=name, index=i, array_min=least, kind="mcrt")
        for i in range(n)
    ]


def test_of_an_array_as_many_as_fit_are_placed() -> None:
    merge = asks("merge", 1)
    placement = place([*array(4, 1), merge], nodes(5, 2))
    assert [p.computation.name for p in placement.placed] == ["mcrt_i0", "mcrt_i1", "mcrt_i2", "merge"]
    assert [c.name for c in placement.left_out] == ["mcrt_i3"]
    assert place(array(4, 1), nodes(8)).left_out == ()


def test_of_an_array_its_least_number_must_fit() -> None:
    assert [c.name for c in place(array(4, 2), nodes(4)).left_out] == ["mcrt_i2", "mcrt_i3"]
    assert refusal(array(4, 3), nodes(4)) == {
        "mcrt_i0": "",
        "mcrt_i1": "",
        "mcrt_i2": "the others leave too little",
        "mcrt_i3": "may be left out",
    }
    assert refusal(array(4, 0), nodes(6))["mcrt_i3"] == "the others leave too little"


def test_one_element_that_is_placed_alone_must_fit() -> None:
    assert refusal(array(4, 2)[3:], nodes(1)) == {"mcrt_i3": "no node has as many cores"}


def test_arrays_give_way_to_what_must_be_there() -> None:
    placement = place([*array(3, 1), *array(2, 2, name="other"), asks("last", 2)], nodes(8))
    assert [c.name for c in placement.left_out] == ["mcrt_i1", "mcrt_i2"]


CLIENTS = st.sampled_from(["", "id0", "host1"])
SPEC = st.builds(
    lambda least, extra, gb, kind, more: dataclasses.replace(
        computation("", kind, least, None if extra is None else least + extra, gb * 1024), **more
    ),
    st.integers(0, 6),
    st.sampled_from([0, 3, None]),
    st.integers(1, 4),
    st.sampled_from(["mcrt", "merge"]),
    st.fixed_dictionaries(
        {},
        optional={
            "hostname_pin": st.sampled_from(["host0", "host1", "host2"]),
            "gpus": st.integers(0, 2),
            "labels": st.fixed_dictionaries({"zone": st.sampled_from(["a", "!a", "in(a,b)"])}),
            "local_only": st.just(True),
            "array_min": st.integers(1, 3),
        },
    ),
)
FACTS = st.builds(
    NodeFacts,
    st.just(""),
    st.sampled_from(["host0", "host1"]),
    st.integers(0, 16),
    st.integers(0, 8).map(lambda gb: gb * GB),
    st.integers(0, 3),
    st.sampled_from([{}, {"zone": "a"}, {"zone": "b"}]),
)


def placed_or_refused(
    computations: list[ComputationSpec], facts: list[NodeFacts], client_node: str
) -> Placement | tuple[Shortage, ...]:
    try:
        return place(computations, facts, client_node=client_node)
    except ResourcesError as error:
        table: tuple[Shortage, ...] = error.table
        return table


@settings(deadline=None)
@given(st.lists(SPEC, min_size=1, max_size=8), st.lists(FACTS, max_size=4), CLIENTS)
def test_nothing_is_given_that_is_not_there(
    specs: list[ComputationSpec], there: list[NodeFacts], client_node: str
) -> None:
    computations = [
        dataclasses.replace(spec, name=f"c{i}", array=f"array{spec.array_min}" if spec.array_min else "")
        for i, spec in enumerate(specs)
    ]
    facts = [dataclasses.replace(one, id=f"id{i}") for i, one in enumerate(there)]
    found = placed_or_refused(computations, facts, client_node)
    if not isinstance(found, Placement):
        assert [row.computation for row in found] == [c.name for c in computations]
        assert any(row.reason not in ("", "may be left out") for row in found)
        return
    placed = [p.computation for p in found.placed]
    assert sorted([*placed, *found.left_out], key=lambda c: c.name) == computations
    for n in {c.array_min for c in found.left_out}:
        of_array = [c for c in computations if c.array_min == n]
        there_are = [c for c in of_array if c in placed]
        assert len(there_are) >= n > 0
        assert there_are == of_array[: len(there_are)]
    machines = {client_node, *(one.name for one in facts if one.id == client_node)}
    for p in found.placed:
        c, asked_of = p.computation, p.computation.resources
        assert asked_of.min_cores <= p.cores <= (asked_of.max_cores if asked_of.max_cores is not None else 99)
        assert p.memory == asked_of.memory
        assert c.hostname_pin in ("", p.node.name)
        assert not c.local_only or p.node.name in machines
        assert all(selects(selector, p.node.labels.get(key)) for key, selector in c.labels.items())
    for node in facts:
        here = [p for p in found.placed if p.node.id == node.id]
        assert sum(p.cores for p in here) <= node.cpus
        assert sum(p.memory for p in here) <= node.memory
        assert sum(p.computation.gpus for p in here) <= node.gpus
        if any(p.computation.resources.max_cores is None for p in here):
            assert sum(p.cores for p in here) == node.cpus


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 24))
def test_on_one_node_it_is_refused_only_if_the_sum_does_not_fit(cores: list[int], free: int) -> None:
    found = placed_or_refused([asks(f"c{i}", n) for i, n in enumerate(cores)], nodes(free), "")
    assert isinstance(found, Placement) == (sum(cores) <= free)
