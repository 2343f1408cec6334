"""What the embedded Ray of these tests declares."""

CPUS = 6
MEMORY = 8 << 30
"""Bytes."""

STORE = 1 << 30
"""Bytes that objects may take before some are written to disk."""
