"""The time example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fault_sessions import block, run_session, session_of

from arras_ray.session.message import JSONMessage


def test_it_answers_any_message_with_the_time() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)  # it tells whole seconds
    seen = run_session(session_of("time", clock=block("libarras4_time_example.so")), 1, JSONMessage("when"))
    ((sender, content),) = seen.answers
    assert sender == "clock"
    assert before <= datetime.fromisoformat(content.value) <= datetime.now(UTC)
    assert seen.stopped.as_asked
