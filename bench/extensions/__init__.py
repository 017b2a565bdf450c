"""Plugins: finding them, the names of what they offer, and a new one to start from."""
