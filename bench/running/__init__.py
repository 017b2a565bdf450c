"""Runs: planning a grid of them, doing each in a process of its own, foretelling their cost."""
