"""Computations that come with arras-ray: those of Arras' own test sessions, and small examples."""
