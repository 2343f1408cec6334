"""The benchmark computations, in sessions as Arras has them: everybody with everybody, by routing names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from fault_sessions import HELLO, SECONDS, block

from arras_ray.session.definition import SessionDefinition, parse_definition
from arras_ray.session_client import Client

REPORT = re.compile(
    r"(\w+) with ([\w, ]+): (in all )?([\d.]+) messages/s there and back, ([\d.]+) MB/s each way, for [\d.]+ s"
)


def benchmark(n: int, **options: Any) -> SessionDefinition:
    """n computations that play with each other, and with themselves do not."""
    names = [f"benchcomp{i}" for i in range(n)]
    blocks = {
        name: block(
            "libarras4_benchmark_computation.so",
            messages=dict.fromkeys(("(client)", *names), f"For_{name}"),
            **options,
        )
        for name in names
    }
    client = {"messages": dict.fromkeys(names, "For_client")}
    return parse_definition(json.dumps({"computations": {"(client)": client, **blocks}}), "benchmark")


def reports(definition: SessionDefinition, *source_ids: str) -> Iterator[tuple[str, str]]:
    """Begin rounds with benchcomp0, one for each source id; the reports, each with the source id it has."""
    with Client("local:") as client:
        session = client.create(definition, ready_timeout=SECONDS)
        for source_id in source_ids:
            session.send(HELLO, to=["benchcomp0"], source_id=source_id)
        for message in session.messages(SECONDS):
            yield message.source_id, message.content.value


@pytest.mark.parametrize("n", [2, 3])
def test_a_round_is_reported_as_it_goes(n: int) -> None:
    others = ", ".join(f"benchcomp{i}" for i in range(1, n))
    for source_id, text in reports(benchmark(n, reportEvery=0, messageBytes=1000), "a"):
        match = REPORT.fullmatch(text)
        assert match
        assert (source_id, match[1], match[2], match[3]) == ("a", "benchcomp0", others, None)
        if float(match[4]) > 0:
            assert float(match[5]) > 0
            break


def test_each_round_is_reported_in_all() -> None:
    found = list(islice(reports(benchmark(2, duration=0.2), "a", "b"), 2))
    assert sorted(source_id for source_id, _ in found) == ["a", "b"]
    assert all(match and match[3] for _, text in found for match in [REPORT.fullmatch(text)])


def test_nobody_to_play_with() -> None:
    _, text = next(reports(benchmark(1, duration=0.1), "a"))
    assert text.startswith("benchcomp0 with nobody: in all 0.0 messages/s")
