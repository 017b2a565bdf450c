"""Vision transformers, and the one that BatchNorm makes invertible (SRe2L section 2)."""
