"""What the embedded Ray of these tests declares."""

CPUS = 6
MEMORY = 8 << 30
"""Bytes."""
