"""RDED: real patches, scored by an observer, tiled and relabelled (Sun, Shi, Yu and Lin, CVPR 2024, arXiv 2312.03526).

Nothing is optimised: of a pool of real images each gives its crop of least cross-entropy, and the crops of least
cross-entropy of a class are tiled. What the released code (LINs-lab/RDED) does and the paper leaves open is followed:

- The pool is 300 images a class, as in all scripts (the code's own default is 600), or what the class has: the
  record's `scored_images` counts them all. One crop of five an image is kept (the code's own default is one crop).
- Crops cover 8 to 100 % of the area, always square, and are resized with antialiasing. An observer of full-size images
  sees them in the middle of the mean colour.
- Images are 2 x 2 tiles above 64 pixels (in the release from 128 on) and single crops up to there: factor. The easiest
  patches become the first tiles of all images, the next ones their second tiles. The code fits tiles whose size is no
  divisor of the resolution by repeating pixels; here the factor must divide it.
- Images are stored as JPEG of quality 75, after truncation: pixel_format=uint8 keeps them lossless.

What differs:

- The code crops images as they are in the files. So does this above 64 pixels; up to there images are what all methods
  see, which on CIFAR and Tiny-ImageNet is the same: crop_from.
- The code normalises everything with ImageNet's constants; here it is the dataset's own.
- The release's observers are downloads (CIFAR-10: 93.86 % for ResNet-18, CIFAR-100: 72.27 %, Tiny-ImageNet: 61.98 %).
  They were trained with torchvision's reference code, says its readme; the hyper-parameters are not published (asked
  for in issue 5). Ours are squeezed as SRe2L's teacher is, so that one network serves all methods, and are
  torchvision's on ImageNet-1K, as in the release. Published numbers stand beside them all the same, with a note of the
  observer's accuracy; `observer.*` trains another.
- The code shuffles the pool before it sets its seed, so that no two runs choose alike; here the seed decides.

Protocol `rded` is the code's training of students. It knows the dataset, not the set: above 64 pixels it shuffles 2 x 2
patches and up to there none, whatever factor the set was made with; and ConvNet-3 learns CIFAR-100 by its own batch
size and rate whoever the observer was (in the code: where that is ConvNet-3 too). The code lets the student see each
batch once more without gradients, for its printed accuracy, which moves BatchNorm's running statistics twice a step;
that is one update with momentum 0.19 in place of 0.1: bn_updates. Tiny-ImageNet is tested enlarged to 72 pixels and
cropped to the centre, as in the code: test_resize. Not copied from it:

- It tests every 10 epochs in the last fifth and reports the best; here it is the last epoch.
- Batch sizes are stated for 1, 10 and 50 images a class alone (the code fails at others); here they hold from each of
  these numbers on.

The settings of `digits`, `small` and `large` are ours.
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """The method."""
    return [Offer("rded", "bench_rded.method:RDED", "real patches that an observer finds easy, tiled (CVPR 2024)")]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """How the released code trains on its sets."""
    summary = "RDED: AdamW, 300 epochs, patch shuffle, CutMix, small batches"
    return [Offer("rded", "bench_rded.protocols:PROTOCOL", summary)]
