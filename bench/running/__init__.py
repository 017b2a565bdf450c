"""Runs: one from its spec to its record, many in processes of their own, and what they would take."""
