"""Coresets: real training images, chosen and not made. `random` is the control that every table has, `full-data` all.

The other three choose class by class among penultimate features, the inputs of the last linear layer. What papers leave
open moves their results by points, so it stands in the configuration, and with it in every record:

- The extractor is the run's backbone, trained on the full training split by `extractor.*`. No paper whose tables have
  these rows states its training; ours is SRe2L's squeeze, so that one network serves all methods of a grid, and at 32
  pixels for our ConvNets without BatchNorm at a rate of 0.01, DC's code's, in place of 0.1 (which a plugin's network
  has). On ImageNet-1K it is torchvision's. Its test accuracy is recorded as `extractor_top1` (`bench show RUN` prints
  it). It moves results by points: on CIFAR-10 a ConvNet-3 gives herding at 1 and 10 a class and k-center at 10 16.3,
  28.6 and 19.4 at 0.1 (200 epochs, 75.2 %), 20.7, 33.1 and 18.3 at 0.01 (20 epochs, 77.0 %) and 20.4, 32.9 and 14.6 (5
  epochs, 67.8 %); published are 21.5, 31.6 and 14.7 (reports/bench_reports/measured/README.md).
- Herding (Welling, ICML 2009; Rebuffi et al., iCaRL, CVPR 2017, equation 4) takes at step k the image f that makes
  ||(k + 1) mean - sum of the chosen - f|| least. Features are taken as they are, as in tables of dataset condensation;
  iCaRL scales them to length 1: normalise_features=true. DeepCore's code takes the largest distance, by mistake.
  The herding of DC's tables is another: by the words of their papers it takes the samples closest to the centre of
  their class (GCond's authors say so too, ChandlerBang/GCond issue 6), and on CIFAR-10 it is that which comes near
  the printed numbers, though the greedy rule was later given as theirs (VICO-UoE/DatasetCondensation issue 15). At 10
  and 50 a class the nearest give 29.1 and 39.6 (published 31.6 and 40.4), the greedy ones 33.1 and 48.0, which is
  above random images (43.4). selection=nearest has it, and so have the cells of our tables of published numbers.
- K-center (Sener and Savarese, ICLR 2018) adds the image farthest from its nearest chosen one, by Euclidean distance.
  It starts with the image nearest to the mean of its class, as its lines in the tables of DC and DM do
  (VICO-UoE/DatasetCondensation issue 21). DeepCore starts anywhere: start=random.
- K-means takes the real image nearest to each of ipc centres of Lloyd's algorithm, started by k-means++
  (scikit-learn). A centre whose nearest image is taken has the next nearest.

Features are computed in fp32 whatever the precision of a run; selection runs on the CPU in float64.

The paper's protocol of all is `dc`: CIFAR-10's lines of random images (14.4, 26.0, 43.4 at 1, 10 and 50 a class),
herding (21.5, 31.6, 40.4) and k-center (21.5, 14.7, 27.0), which every later table prints, were made with DC's
evaluation, 300 epochs without augmentation (VICO-UoE/DatasetCondensation issue 5), and stand in tables beside methods
that are evaluated by 1,000 epochs with it. Under `hard`, which is that, random images give about five points more (PAD:
15.4, 31.0, 50.6).
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """The methods."""
    herding = "real images that together follow the mean feature of their class"
    k_center = "real images far from each other, added one by one"
    k_means = "real images nearest to the centres of k-means"
    return [
        Offer("full-data", "bench_coresets.full:FullData", "the whole dataset, all training images: the upper bound"),
        Offer("random", "bench_coresets.uniform:Random", "real images drawn uniformly: the control"),
        Offer("herding", "bench_coresets.featured:Herding", herding),
        Offer("k-center", "bench_coresets.featured:KCenter", k_center),
        Offer("k-means", "bench_coresets.featured:KMeans", k_means),
    ]
