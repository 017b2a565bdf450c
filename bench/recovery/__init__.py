"""Recovering images from a squeezed network by matching its BatchNorm statistics.

    recipes.py     how images are recovered, as data
    statistics.py  statistics of BatchNorm inputs and R_BN, the loss over them
    views.py       the crop, flip and roll under which an iteration sees the whole batch
    engines.py     what an engine is, and finding one by name
    reference.py   the plain engine, written to be read and to check others against
    health.py      what R_BN says about a network on real images and on noise

SRe2L (Yin et al., NeurIPS 2023) and its descendants (CDA, G-VBSM, EDC) share this.
"""
