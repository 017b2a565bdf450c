"""Methods that match what networks make of real and synthetic images: gradients, features, trajectories.

Where a paper and its released code differ, this is followed, and so is the other to be had.

DC (Zhao, Mopuri and Bilen, ICLR 2021, arXiv 2006.05929), DSA (Zhao and Bilen, ICML 2021, arXiv 2102.08259) and DM (Zhao
and Bilen, WACV 2023, arXiv 2110.04181); code: VICO-UoE/DatasetCondensation.

- Outer and inner steps of DC and DSA stand in the code for 1, 10, 20, 30, 40 and 50 images per class alone, and it
  stops at others. Here the largest of these that the set reaches counts: outer_steps, inner_epochs.
- An inner step is an epoch over the synthetic images in batches of 256 (code), not one batch: they differ from 26
  images per class on, with ten classes.
- Biases and the scales of norms take no part in DC's distance (code); the paper sums over layers and says nothing of
  them.
- DC draws the statistics of BatchNorm anew before every match, from 16 real images of each class, and freezes them for
  it (code; not in the paper). The inner training goes on with statistics of its own batches, as in the code.
- Loops of the code run once more than its flags say (1,001 networks, 20,001 iterations, 301 or 1,001 epochs of a
  student). Here they run as often as the papers say.
- DM's step size is 10 from 100 images per class on for CIFAR-10 (paper); the code's default is 1: lr=1.
- A real batch holds 256 images of a class, or all where there are fewer, without repetition (code).
- DM puts all classes through a network with BatchNorm at once (code; the paper has no such network), and one by one
  through others, which comes to the same and is done at once too where it is faster: engine=reference.
- Students with BatchNorm are trained 1,000 epochs with shifts on DC's images (code).
- Images are stored as float32: nothing holds them in the box of valid pixels.
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """The five methods."""
    return [
        Offer("dc", "bench_matching.dc:DC", "images whose gradients match those of real ones (ICLR 2021)"),
        Offer("dsa", "bench_matching.dc:DSA", "gradient matching under siamese augmentation (ICML 2021)"),
        Offer("dm", "bench_matching.dm:DM", "images whose features in random networks match real ones (WACV 2023)"),
        Offer("mtt", "bench_matching.mtt:MTT", "images that train a network along real trajectories (CVPR 2022)"),
        Offer("tesla", "bench_matching.tesla:TESLA", "trajectory matching in constant memory, soft labels (ICML 2023)"),
    ]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """How the papers train on their sets."""
    return [
        Offer("dc", "bench_matching.protocols:DC", "DC: SGD 0.01, 300 epochs, no augmentation"),
        Offer("dsa", "bench_matching.protocols:DSA", "DSA and DM: SGD 0.01, 1000 epochs, DSA augmentation"),
        Offer("mtt", "bench_matching.protocols:MTT", "MTT: SGD with the learned step size, 1000 epochs, DSA"),
        Offer("tesla", "bench_matching.protocols:TESLA", "TESLA: as MTT, with the set's soft labels"),
    ]
