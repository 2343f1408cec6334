"""From a SceneContext to the arrays the kernels read: `flatten`."""

from arras_ray.flatten.flatten import FlatScene, Flattener, Scope, flatten
from arras_ray.flatten.report import Report

__all__ = ["FlatScene", "Flattener", "Report", "Scope", "flatten"]
