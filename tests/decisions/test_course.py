"""Warnings of a scene that is edited."""

from __future__ import annotations

from arras_ray.actors.course import Course


def test_warnings_of_the_scene_before_stand_until_an_mcrt_has_told() -> None:
    course = Course("rendering", warnings=["one sphere is a box", "no such map"], heard=False)
    assert course.warnings == ["one sphere is a box", "no such map"]
    course.warn("no such map")
    assert course.warnings == ["no such map"]
    course.warn("no such map", "left out")  # another mcrt
    assert course.warnings == ["no such map", "left out"]


def test_that_nothing_is_wrong_any_more_is_heard_too() -> None:
    course = Course("rendering", warnings=["one sphere is a box"], heard=False)
    course.warn()
    assert course.warnings == []
