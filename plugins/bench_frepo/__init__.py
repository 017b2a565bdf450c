"""FRePo, neural feature regression with pooling (Zhou, Nezhadarya and Ba, NeurIPS 2022, arXiv 2206.00719).

Code: yongchao97/FRePo. Where paper and released code differ, this is followed, and so is the other to be had.

- The loss has a term that the paper has not (code, `lb_margin_th`): each image's largest target is pushed ahead of its
  second by 1 / K. margin=false leaves it out.
- Targets start as centred classes divided by sqrt(K / 10) (code); real images have centred classes that are not.
- Mirror images join the regression on CIFAR-10, ImageNette, ImageWoof and, at one image a class, CIFAR-100 and
  Tiny-ImageNet, on ImageNet-1K never (code). At numbers of images where the code stops, the largest that it knows and
  that is reached counts.
- A network leaves the pool when it is drawn after more than 100 steps (code), so its features are those of 0 to 101.
- A training step of the pool sees up to 1,000 synthetic images (code); they are not augmented.
- Features are those of networks in evaluation mode: BatchNorm goes by running statistics, which flax moves by nine
  tenths a step, and those of a new network are a mean of 0 and a variance of 1 (code).
- The images returned are the last (paper). The code evaluates every 10,000 iterations on the test split and its numbers
  are those of the best; nothing is chosen by testing here.
- LAMB is optax's with its defaults, the norms of which are of all images and of all targets: timm's computes the same
  with always_adapt=True, no weight decay and no clipping of gradients.
- Real batches are parts of a permutation, and of a new one when less than a batch is left of it; the code's shuffling
  buffer is larger than a batch and smaller than the data.
- Whitening: each channel is standardised by the training set's own mean and deviation, which the code has with four
  digits; zca_eps is in units of the mean variance (code). 128 pixels, which the code whitens by quarters of 64 pixels,
  are not whitened here (zca=false in those recipes, which say so).
- Students (protocol `frepo`): the code's evaluation takes batches in the order of the set, class by class, where it has
  more than 500 images; here they are shuffled, as in the evaluations that it makes on the way. Those on the way average
  weights; the final ones, whose numbers are published, do not, and neither does this.
- The network that is tested has no norm (code): students of `frepo` are `frepo-conv` for a set condensed with
  `frepo-conv-bn`, unless --eval-backbone says otherwise.
- Under --precision auto images are made in the arithmetic of the code, fp32 (on GPUs that have it tf32).
- Images are stored as float32: nothing holds them in the box of valid pixels.
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """FRePo."""
    about = "images and targets from whose features ridge regression predicts real ones (NeurIPS 2022)"
    return [Offer("frepo", "bench_frepo.method:FRePo", about)]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """How its paper trains on its sets."""
    about = "FRePo: Adam 3e-4, squared error to the set's targets, steps by its images, a network without norm"
    return [Offer("frepo", "bench_frepo.protocols:FREPO", about)]
