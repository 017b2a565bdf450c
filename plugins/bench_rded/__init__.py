"""RDED: real patches, scored by an observer, tiled and relabelled (Sun et al., CVPR 2024)."""
