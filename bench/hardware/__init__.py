"""Devices and their arithmetic, meters of time and memory, the allocator."""
