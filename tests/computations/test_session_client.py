"""Client("local:"): making sessions, several at once, and ending them all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from fault_sessions import HELLO, SECONDS, block, session_of

from arras_ray.errors import ComputationError, DefinitionError, ReadyTimeout, UsageError
from arras_ray.session.message import GenericMessage
from arras_ray.session.options import SessionOptions
from arras_ray.session_client import Client

ECHO = '{"computations": {"echo": {"dso": "libarras4_testcomputation.so", "reply": true}}}'
SIMPLE = session_of("simple", testcomp=block(reply=True))


def test_several_sessions_at_once() -> None:
    with Client("local:") as client:
        one = client.create(SIMPLE, ready_timeout=SECONDS)
        two = client.create(SIMPLE, name="another", ready_timeout=SECONDS)
        assert (one.name, two.name) == ("simple", "another")
        assert client.sessions() == (one, two)
        assert two.call(GenericMessage("2"), timeout=SECONDS).content.value == "2"
        assert one.call(GenericMessage("1"), timeout=SECONDS).content.value == "1"
        assert one.shutdown().as_asked
        assert client.sessions() == (two,)
    assert client.sessions() == ()
    assert two.stopped is not None
    assert two.stopped.as_asked


def test_definitions_are_found_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "echo.sessiondef"
    path.write_text(ECHO, encoding="utf-8")
    monkeypatch.setenv("ARRAS_SESSION_PATH", str(tmp_path))
    with Client("local:") as client:
        for definition in (path, str(path), "echo"):
            session = client.create(definition, ready_timeout=SECONDS)
            assert session.name == "echo"
            assert session.call(HELLO, to=["echo"], timeout=SECONDS).content == HELLO


def test_a_definition_that_is_not_there() -> None:
    with Client("local:") as client, pytest.raises(DefinitionError, match="there is no session named nothing"):
        client.create("nothing")


def test_a_session_that_cannot_get_ready_has_ended() -> None:
    with Client("local:") as client:
        with pytest.raises(ComputationError, match="testcomp failed to initialize properly") as caught:
            client.create(session_of("bad", testcomp=block(errorInConfig="invalid")), ready_timeout=SECONDS)
        assert caught.value.computation == "testcomp"
        assert client.sessions() == ()


@pytest.mark.slow  # 5 s until SIGTERM
def test_a_session_that_is_not_ready_in_time_is_ended() -> None:
    with Client("local:") as client:
        with pytest.raises(ReadyTimeout):
            client.create(session_of("slow", testcomp=block(sleepInConfig=1e6)), ready_timeout=0.5)
        assert client.sessions() == ()


def test_other_targets_for_a_library() -> None:
    time = "python:arras_ray.computations.time_computation:TimeComputation"
    definition = session_of("clock", clock=block("libclock.so"))
    with Client("local:") as client:
        session = client.create(definition, dso={"libclock.so": time}, ready_timeout=SECONDS)
        assert session.call(HELLO, timeout=SECONDS).sender == "clock"


def test_options_are_kept_with_the_session() -> None:
    options = SessionOptions(production="p", sequence="sq100", shot="s10", asset="tree", metadata={"take": 3})
    with Client("local:") as client:
        assert client.create(SIMPLE, options=options).options is options
        assert client.create(SIMPLE).options.title == "[No Title]"
    assert options.title == "sq100 s10 tree"


def test_notes_of_the_definition_are_warnings_of_the_session() -> None:
    requirements = {"computationAPI": "4.x", "rez_packages": "arras4_test-4"}
    with Client("local:") as client:
        session = client.create(session_of("rez", testcomp=block(requirements=requirements)))
        assert ["rez_packages" in warning for warning in session.warnings] == [True]


def test_renders_are_no_local_sessions() -> None:
    with (
        Client("local:") as client,
        pytest.raises(UsageError, match="dispatch, mcrt, merge of mcrt_progressive render"),
    ):
        client.create("mcrt_progressive")


def test_a_closed_client_makes_nothing() -> None:
    client = Client("local:")
    client.close()
    with pytest.raises(UsageError, match="the client is closed"):
        client.create(SIMPLE)
    client.close()


def test_local_sessions_cannot_be_attached_to() -> None:
    with Client("local:") as client, pytest.raises(UsageError, match="their client's alone"):
        client.attach("simple")


def test_sessions_are_shut_down_when_the_block_is_left_by_an_error() -> None:
    ended = threading.Event()

    def leave() -> None:
        with Client("local:") as client:
            client.create(SIMPLE, ready_timeout=SECONDS).listen(stopped=lambda _: ended.set())
            raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        leave()
    assert ended.wait(SECONDS)
