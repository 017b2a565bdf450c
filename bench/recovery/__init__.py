"""Recovering images from a squeezed network by matching its BatchNorm statistics."""
