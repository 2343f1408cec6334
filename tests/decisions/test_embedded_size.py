"""What a Ray of one machine declares so that a session fits."""

import dataclasses

import pytest

from arras_ray.session.definition import MB, ComputationSpec, Resources, load_definition
from arras_ray.session.node import NodeFacts
from arras_ray.session.placement import embedded_size, place

GB = 1024 * MB
MERGE = ComputationSpec("merge", "merge", Resources(0, 0, 512 * MB))


def star(n: int, least: float = 1, memory_mb: int = 1024) -> list[ComputationSpec]:
    return [ComputationSpec(f"mcrt_i{i}", "mcrt", Resources(least, None, memory_mb * MB)) for i in range(n)]


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
    assert (
        embedded_size([ComputationSpec("merge", "merge", Resources(1.5, 1.5, 256 * MB)), *star(1)], 2, 64 * GB).cpus
        == 3
    )


def test_embedded_does_not_ask_which_machine_it_is() -> None:
    plain = ComputationSpec("a", "python", Resources(3, 3, GB))
    wanted = dataclasses.replace(plain, hostname_pin="far", no_local=True, labels={"zone": "a"}, gpus=4)
    assert embedded_size([wanted], 2, 64 * GB).cpus == 3
