"""Progressive distributed rendering of MoonRay scenes on Ray."""

__version__ = "0.1.0"

__all__ = ["__version__"]
