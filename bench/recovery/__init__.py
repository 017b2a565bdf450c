"""Recovering images from squeezed networks by matching statistics of what enters their layers.

    recipes.py     how images are recovered, as data
    statistics.py  BatchNorm layers, and mean and variance of what enters a layer
    layers.py      which layers' inputs are measured, and what of each
    terms.py       the terms of the loss, each with its equation
    smoothing.py   statistics smoothed over iterations
    pool.py        a network that images are recovered from, and what statistics they shall have in it
    real.py        statistics of training data, of all and of each class: a pass kept as a stage
    views.py       the crop, flip and roll under which an iteration sees a whole batch
    batches.py     images that are recovered together
    canvas.py      images whose size changes while they are recovered
    gradient.py    the gradient of an iteration, by one network or several
    engine.py      what an engine is, and the loop that all engines share
    reference.py   the plain engine, written to be read and to check others against
    objective.py   the same loss for several batches at once, in fixed shapes
    fast.py        the engine that compiles it
    engines.py     finding an engine by name
    health.py      what R_BN says about a network on real images and on noise

SRe2L (Yin et al., NeurIPS 2023) and its descendants (CDA, G-VBSM, EDC) share this. SRe2L's loss is its smallest case.
"""
