"""The `arras-ray` command."""
