"""From a SceneContext to the arrays the kernels read: `flatten`."""

from arras_ray.flatten.flatten import FlatScene, flatten
from arras_ray.flatten.report import Report

__all__ = ["FlatScene", "Report", "flatten"]
