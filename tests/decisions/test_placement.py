import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arras_ray.errors import ResourcesError, UsageError
from arras_ray.session.definition import MB, ComputationSpec, Resources, load_definition
from arras_ray.session.placement import NodeFacts, Placement, Shortage, embedded_size, place

GB = 1024 * MB


def computation(name: str, kind: str, least: float, most: float | None, memory_mb: int = 256) -> ComputationSpec:
    return ComputationSpec(name, kind, Resources(least, most, memory_mb * MB))


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


ASKED = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([0, 3, None]), st.integers(1, 4), st.sampled_from(["mcrt", "merge"])),
    min_size=1,
    max_size=8,
)
THERE = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 8)), max_size=4)


@given(ASKED, THERE)
def test_nothing_is_given_that_is_not_there(asked: list[Any], there: list[tuple[int, int]]) -> None:
    computations = [
        computation(f"c{i}", kind, least, None if extra is None else least + extra, gb * 1024)
        for i, (least, extra, gb, kind) in enumerate(asked)
    ]
    facts = [NodeFacts(f"id{i}", f"host{i}", cpus, gb * GB) for i, (cpus, gb) in enumerate(there)]
    placement: Placement | None = None
    table: tuple[Shortage, ...] = ()
    try:
        placement = place(computations, facts)
    except ResourcesError as error:
        table = error.table
    if placement is None:
        assert [row.computation for row in table] == [c.name for c in computations]
        assert any(row.reason for row in table)
        return
    assert [p.computation for p in placement.placed] == computations
    for p in placement.placed:
        asked_of = p.computation.resources
        assert asked_of.min_cores <= p.cores <= (asked_of.max_cores if asked_of.max_cores is not None else 99)
        assert p.memory == asked_of.memory
    for node in facts:
        here = [p for p in placement.placed if p.node == node]
        assert sum(p.cores for p in here) <= node.cpus
        assert sum(p.memory for p in here) <= node.memory
        greedy = [p.cores for p in here if p.computation.resources.max_cores is None]
        if greedy:
            assert sum(p.cores for p in here) == node.cpus


# One machine


@pytest.mark.parametrize(
    ("n", "host", "cpus", "threads", "note"),
    [
        (1, 2, 2, [2], ""),
        (2, 2, 2, [1, 1], ""),
        (4, 2, 4, [1, 1, 1, 1], "4 mcrts share 2 cores"),
        (2, 1, 2, [1, 1], "2 mcrts share 1 core"),
        (3, 8, 8, [3, 3, 2], ""),
    ],
)
def test_embedded_fits_what_our_sessions_ask(n: int, host: int, cpus: int, threads: list[int], note: str) -> None:
    computations = load_definition("mcrt_progressive_n", {}).expand(n)
    size = embedded_size(computations, host, 64 * GB)
    assert (size.cpus, size.note) == (cpus, note)
    assert size.memory == (256 + 512 + n * 1024) * MB
    placement = place(computations, [NodeFacts("", "", size.cpus, size.memory)])
    assert [p.threads for p in placement.placed if p.computation.kind == "mcrt"] == threads


def test_embedded_says_by_how_much_it_is_overbooked() -> None:
    size = embedded_size([*star(1, least=8, memory_mb=4096), MERGE], 2, GB)
    assert size.cpus == 8
    assert size.note == (
        "1 mcrt of 8 threads in all shares 2 cores; the session asks for 4,608 MB of memory, the machine has 1,024"
    )
    assert embedded_size(star(2), 4, 64 * GB, num_cores=3).cpus == 6
    assert embedded_size([computation("merge", "merge", 1.5, 1.5), *star(1)], 2, 64 * GB).cpus == 3
