"""The family of statistics: methods that recover images by matching statistics of a pool of networks, and protocols.

How their papers and code train on their sets, and which of the two is followed: see `bench_statistics.protocols`.

G-VBSM (Shao et al., CVPR 2024, arXiv 2311.17950; shaoshitong/G_VBSM_Dataset_Condensation) and EDC (Shao et al., NeurIPS
2024, arXiv 2404.13733; shaoshitong/EDC) differ between paper and code. The code's commands and defaults are followed,
because the published accuracies were made with code, and it states what the papers leave out. What else there is:

- Batches are split over GPUs, each with statistics of its own part: `recover.batch_size` is a part's size. G-VBSM's
  densification sees the parts of a class together; here it does so up to the IPC that fits a part.
- Smoothed statistics start at 0, because the code's test for the first call never succeeds, and are carried over from
  one batch of images to the next. Here each batch starts at 0, so that batches do not depend on their order: after some
  tens of visits nothing of the start is left. Without "zero-start" among `recover.as_released` they start at the
  first batch's statistics.
- EDC's statistics of classes: the saved files hold patch means and patch variances the wrong way round
  ("swapped-patches"), and a class's variance is the mean of those within its images, although the batch's is taken over
  all its images ("within-image-variance"). Without, a batch's goal is the mean and the variance of the mixture of its
  classes.
- EDC's flatness term is in the paper (weight 0.25, decay 0.99, tau 4) and off in the code's commands:
  `recover.flatness=0.25`. Where the code has it, the divergence is averaged over classes too ("element-mean").
- EDC on ImageNet-1K: the paper has 2,000 iterations, the command 1,000 with r 0.1: `recover.iterations`,
  `recover.bn_weight` (which weighs all statistics, in the code r_loss). Its "local" mode, which no
  command asks for, takes statistics of classes from a batch of real images: `recover.class_goals=batch`, and
  `recover.goal_images` of them for each image; on ImageNet-1K these alone count there: `recover.global_share=0`.
- EDC on CIFAR-10: the one command is for IPC 1, whose batch is the whole set. So it is here up to 500 images.
- G-VBSM leaves convolutions out of an iteration by chance. In a network's first iteration none is left out here.
- The code shuffles the patches of images by a class that does nothing; nothing is shuffled here.
- Where the code stores PNG it takes a pixel's level from below, as for JPEG; here "uint8" rounds to the nearest.
- Squeezing: EDC's code, and G-VBSM's on Tiny-ImageNet, saves a network in every tenth epoch alone, so that of 50 epochs
  the 41st is kept and of 5 the first. All epochs are trained here: `squeeze.epochs=1` is EDC's on CIFAR-10.
- G-VBSM's Tiny-ImageNet images are made in ten sweeps over the classes, a tenth of each class's images in a sweep, so
  that a batch has several classes; elsewhere all images of a class come before the next: `recover.sweeps`.
- EDC recovers from eight networks on CIFAR-100 and labels with five; on ImageNet-10 from three, and labels with four.
- On ImageNet-10 networks are trained on from ImageNet-1K's weights, 20 epochs of the first third of a cosine:
  squeeze.starts_from. So they have seen a thousand classes; squeeze.starts_from= trains them from nothing. The code
  gives ResNet-18 a new stem of 3 x 3 without pooling for it; here it keeps its own, as it does where students have it.
- EDC's fifth network on ImageNet-1K, AlexNet, has torchvision's weights there. Where networks are trained here, for
  fewer classes or for other images above 64 pixels, it is left out: the recipe of the others does not train it.
- A backbone that the pool has not joins it, squeezed by its own recipe where the code's squeeze is not followed:
  squeeze_of.
- The pools' ConvNets have instance norm: of them statistics of convolutions alone are matched.
- Labels are made without a gradient. EDC's code for small sets builds the teachers' graphs in vain.

SRe2L++ (Cui et al., arXiv 2501.07575: the baseline of CV-DD; Jiacheng8/CV-DD) is SRe2L with later settings; the code's
scripts are followed:

- Images start from patches that are downloads, one file an image and number, of "medium" difficulty. How they were made
  is not released. `bench_statistics.starts.patches` makes them by DELT's rule, which is the same group's.
- 4,000 iterations, Adam 0.25 and R_BN 0.01 on all datasets; with 10 classes a batch is ten images.
- Labels: the teacher is never put into evaluation mode, so BatchNorm normalises by the views that it is shown, and the
  script shows it a batch in two halves: relabel.teacher_mode=train-halves. The paper speaks of the batch: =train. A
  MobileNetV2 of torchvision would drop features out there, too; here dropout is off.
- Above 64 pixels networks are torchvision's; its own ones for CIFAR and Tiny-ImageNet have small stems, as ours.
  Those of its ResNets and DenseNet begin from torch's default weights, ours from torchvision's.
- ImageNette is squeezed along a cosine over 100 of 300 epochs, so that the rate rises again; here the cosine has 300.
  Its labels are made for batches of 10, which students of batches of 16 cannot load; here both have 16.

SC-DD (Zhou et al., arXiv 2404.07976; VILA-Lab/SRe2L, folder SCDD) is SRe2L from a network trained without labels:

- That network is the user's to train in the release, by MoCo v2, MoCo v3, SwAV or DINO. Here it is trained by MoCo v2,
  at the rates of the paper's table, which are MoCo's own (see sc_dd.toml), or `pretrained` names a file.
- Its classifier is trained by MoCo's recipe for linear classification; the paper does not say how.
- Recovery is by the code's commands. The paper's rate on ImageNet-1K is 0.25: recover.lr=0.25. On CIFAR-100 the code
  recovers in CIFAR-10's constants and trains in CIFAR-100's; here both are the card's, CIFAR-10's.
- Labels on ImageNet-1K are those of a network trained with labels (train_kd.py), and the code for CIFAR-100 loads what
  SRe2L's squeeze saves: relabel.teacher=squeezed. It leaves that one in training mode: relabel.teacher_mode=train.
- The README's commands for ImageNet-1K recover from a ResNet-50 and label by a ResNet-18; here both are the run's
  backbone. The README's: `--backbone resnet50 --eval-backbone resnet18 --set pool='["resnet50", "resnet18"]'
  --set recover.without='["resnet18"]' --set relabel.without='["resnet50"]'`.

LPLD (Xiao and He, NeurIPS 2024, arXiv 2410.15919; he-y/soft-label-pruning-for-dataset-distillation) is SRe2L with a
class a batch and statistics of that class. The code is followed:

- A class's statistics are a moving average over one epoch ("moving-classes"), which the last images of the class
  decide; without, they are those of all its images. The code's batches are 64 on each of four GPUs on ImageNet-1K, of
  which one GPU's are kept, and 256 on Tiny-ImageNet; here they are squeeze.batch_size.
- A batch holds all images of a class up to recover.batch_size; what is over is a batch of what is left, in the code one
  of the whole size again, whose surplus is thrown away.
- relabel.keep is 0.025, the 40-fold pruning of the paper's main table: --set relabel.keep=1 keeps all labels.

CV-DD (the same paper and code as SRe2L++) adds a committee. What the scripts do is followed:

- Two of five networks recover an image number: at IPC 10 a fixed sequence of all pairs, at IPC 1 one pair, at 50 drawn
  pairs. They count by a softmax of their priors over 5, and by one over 10 when all five label.
- The priors are constants in the code: what students reached on what each network alone had condensed (46.5 for
  ResNet-18 on Tiny-ImageNet is SRe2L++'s own score). They are of the test set, which published numbers have thus seen.
- Up to 64 pixels its ShuffleNetV2 is 0.5 wide and its MobileNetV2 1.0: `shufflenetv2` and `mobilenetv2-1.0` here.

FADRM and FADRM+ (Cui et al., NeurIPS 2025, arXiv 2506.24125; Jiacheng8/FADRM) share patches, networks and most code
with CV-DD. The scripts are followed:

- Stages of 500 iterations, four of them, after each of which half of the image is its first patch again. FADRM on
  Tiny-ImageNet has two, at a rate of 0.01, and labels in evaluation mode.
- At 224 pixels the stages have 200 and 224 pixels in turn: recover.scales. Networks that take images of one size alone,
  as ConvNets and BN-ViT do, have recover.scales=[1.0].
- The code computes in fp16; here it is the run's precision. Images are stored as PNG, here rounded as well.
- FADRM+ on ImageNet-1K at IPC 1 has an AlexNet in place of DenseNet-121. It has no BatchNorm, and is left out here.

DELT (Shen et al., CVPR 2025, arXiv 2411.19946; VILA-Lab/DELT) is CDA in which images of a class are trained for
different numbers of iterations. The code is followed, whose scripts are for ImageNet-1K alone:

- A round has 500 of 4,000 iterations; in each an eighth of a class joins. The BatchNorm statistics that are matched,
  and the cross-entropy, are those of the images that have joined; one Adam and one cosine serve all.
- Images start from real ones around the median of the true class's probability, whole and as all methods see them; the
  code resizes those of 64 pixels to 72 and cuts out the centre.
- The code fills batches whatever classes they cut; here a batch holds whole classes, which at its numbers of images per
  class is the same. Numbers of iterations that differ from class to class, which no script asks for, are not here.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """The methods."""
    generalised = "recover images from several networks by channel and patch statistics (CVPR 2024)"
    elucidated = "G-VBSM from real images, with statistics of classes (NeurIPS 2024)"
    stronger = "SRe2L from real patches, labelled by each batch's own statistics (CV-DD's baseline)"
    voted = "SRe2L++ from two networks of five at a time, weighed by what each is worth (CV-DD)"
    residual = "SRe2L++ in stages, with the patches mixed back in after each (NeurIPS 2025)"
    several = "FADRM from several networks in turn"
    classwise = "SRe2L a class at a time, by that class's statistics, with few of its labels (NeurIPS 2024)"
    unlabelled = "SRe2L from a network that was trained without labels, its classifier apart"
    joining = "CDA from real images of medium difficulty, the later ones trained less (CVPR 2025)"
    return [
        Offer("g-vbsm", "bench_statistics.g_vbsm:GVBSM", generalised),
        Offer("edc", "bench_statistics.edc:EDC", elucidated),
        Offer(
            "sre2l-plus-plus",
            "bench_statistics.sre2l_plus_plus:SRe2LPlusPlus",
            stronger,
            needs=frozenset({"batchnorm"}),
        ),
        Offer("fadrm", "bench_statistics.fadrm:FADRM", residual, needs=frozenset({"batchnorm"})),
        Offer("fadrm-plus", "bench_statistics.fadrm:FADRMPlus", several, needs=frozenset({"batchnorm"})),
        Offer("delt", "bench_statistics.delt:DELT", joining, needs=frozenset({"batchnorm"})),
        Offer("lpld", "bench_statistics.lpld:LPLD", classwise, needs=frozenset({"batchnorm"})),
        Offer("sc-dd", "bench_statistics.sc_dd:SCDD", unlabelled, needs=frozenset({"batchnorm"})),
        Offer("cv-dd", "bench_statistics.cv_dd:CVDD", voted, needs=frozenset({"batchnorm"})),
    ]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """How the papers or their code train on their sets."""
    return [
        Offer("g-vbsm", "bench_statistics.protocols:G_VBSM", "G-VBSM: MSE of logits, the class beside, CutMix, cosine"),
        Offer("g-vbsm-smooth", "bench_statistics.protocols:G_VBSM_SMOOTH", "G-VBSM with EDC's cosine"),
        Offer("g-vbsm-smooth-small", "bench_statistics.protocols:G_VBSM_SMALL", "the same with small batches"),
        Offer("edc", "bench_statistics.protocols:EDC", "EDC: as G-VBSM; small batches, smooth rates, averaged weights"),
        Offer("sc-dd", "bench_statistics.protocols:SC_DD", "SC-DD: SRe2L's loss, batches of 64 (code)"),
        Offer("sc-dd-paper", "bench_statistics.protocols:SC_DD_PAPER", "the same by the paper's table on CIFAR-100"),
        Offer("cv-dd", "bench_statistics.protocols:CV_DD", "CV-DD and SRe2L++: batches of 16 in halves, rates by cell"),
        Offer("fadrm", "bench_statistics.protocols:FADRM", "FADRM and FADRM+: as CV-DD, with other rates"),
        Offer("delt", "bench_statistics.protocols:DELT", "DELT: as RDED, with RandAugment and larger crops"),
        Offer("lpld", "bench_statistics.protocols:LPLD", "LPLD: SRe2L's students on smaller batches"),
    ]


@hookimpl
def bench_ladders() -> Sequence[Offer]:
    """Configurations of which each is one change from the last."""
    folder = Path(__file__).parent
    return [Offer("edc-figure-1", folder / "edc-figure-1.toml", "EDC's Figure 1 (right): from G-VBSM to EDC, A to G")]


@hookimpl
def bench_speed_tables() -> Sequence[Offer]:
    """Steps side by side."""
    summary = "a step of SRe2L, G-VBSM and EDC on Tiny-ImageNet, batch 100"
    return [Offer("statistics-step", Path(__file__).with_name("statistics-step.toml"), summary)]
