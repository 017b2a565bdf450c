"""SRe2L: squeeze, recover and relabel (Yin, Xing and Shen, NeurIPS 2023, arXiv 2306.13092); and CDA, a step from it.

Where SRe2L's paper and its released code (VILA-Lab/SRe2L, zeyuanyin/tiny-imagenet) differ, this is followed, and so is
the other to be had:

- Squeeze on Tiny-ImageNet: 50 epochs (section 3.1, A.2, code), because the published accuracies belong to it; Table 7a
  says 100: squeeze.epochs=100. The 5 epochs of warm-up are the code's: squeeze.warmup_epochs=0.
- Recovery: 4,000 iterations on Tiny-ImageNet and ImageNet-1K (Table 4, code), because Table 4 is what others quote
  (41.1 on Tiny-ImageNet at IPC 50, ResNet-18). The ablations (Tables 2, 7c, 7d) have 1,000 and 2,000:
  recover.iterations=1000 (37.88 in the same cell).
- The first BatchNorm's term weighs 10 (code; the paper states no weights): recover.first_bn_multiplier=1.
- Image priors (total variation, l2) are in the code with weights of 0.0001 and 0.00001, and 0 in every command:
  recover.tv, recover.l2. Table 8 tries them: `bench run --ladder sre2l-table-8`.
- The view is rolled by some pixels (code; not in the paper): recover.roll=[0,0].
- CIFAR is recovered without crop and flip (code; not in the paper): recover.crop=resized, recover.flip=true.
- Images are stored as JPEG of quality 75 (code; not in the paper), so teacher and students see its losses:
  recover.images=lossless. They are the last iterate, which is what the code stores, whatever its flag's name says.
- Students on CIFAR: AdamW 0.001 (code), because the code states the rest as well; Table 10a says SGD 0.1: protocol
  sre2l-c100-sgd.
- The factor T² before the loss: with SGD only, as in the code for Tiny-ImageNet; equation (9) has none. A field of each
  protocol.
- The teacher relabels in evaluation mode everywhere. The code for CIFAR leaves it in training mode, in which BatchNorm
  normalises by each batch of views: relabel.teacher_mode=train, for labels online and stored.

CIFAR-10 has no official setting; ours follows CIFAR-100's. That of `digits` is ours, made for a quick demonstration.

BN-ViT-Tiny (`bn-vit-tiny`) is squeezed by DeiT's recipe, as the paper says: AdamW with 5e-4 for 512 images, weight
decay 0.05, 5 epochs of warm-up, 300 epochs, label smoothing, RandAugment, random erasing, Mixup or CutMix. Of DeiT's
own code (facebookresearch/deit) this leaves out repeated augmentation (an epoch here shows each image once), stochastic
depth (our network has none), the floor of the rate, 1e-5, and the moving average of the weights
(squeeze.ema has it); positions and the class token have weight decay, and an epoch's last batch may be smaller. How
images are recovered from it was not released: recover.lr (0.25 above 64 pixels, 0.1 up to there) and recover.bn_weight
(0.01 everywhere, with ResNets the paper's for ImageNet-1K) are ours, and not tuned.

CDA (Yin and Shen, TMLR 2024, arXiv 2311.18838) is SRe2L with a curriculum: early iterations see the whole image, late
ones crops of down to 0.08 of it. Its code (VILA-Lab/SRe2L, folder CDA) is followed, whose commands have the curriculum
"cosine" over all iterations (milestone 1); recover.curriculum and recover.milestone have its other forms. It squeezes
and relabels as SRe2L does, so both share a teacher. On Tiny-ImageNet it rolls by 0 to 4 pixels, where SRe2L's code has
-4 to 4, and is evaluated as SRe2L: assumed, for no release states CDA's protocol there. On ImageNet-1K students see
batches of 128 (appendix), not 1,024: protocol cda-in1k. The README's abstract claims 63.2 on ImageNet-1K at IPC 50, its
table 61.3 with a ResNet-50 student: the table is quoted.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """Both methods."""
    summary = "squeeze into a network, recover images from its BatchNorm statistics, relabel (NeurIPS 2023)"
    curriculum = "SRe2L whose crops shrink from the whole image to small parts of it (TMLR 2024)"
    return [
        Offer("sre2l", "bench_sre2l.method:SRe2L", summary, needs=frozenset({"batchnorm"})),
        Offer("cda", "bench_sre2l.cda:CDA", curriculum, needs=frozenset({"batchnorm"})),
    ]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """How the papers train on their sets."""
    return [
        Offer("sre2l-tiny", "bench_sre2l.protocols:TINY", "SRe2L on Tiny-ImageNet: SGD 0.2, 100 epochs, KL x T²"),
        Offer("sre2l-c100", "bench_sre2l.protocols:C100", "SRe2L on CIFAR-100: AdamW 0.001, 400 epochs, Mixup (code)"),
        Offer("sre2l-c100-sgd", "bench_sre2l.protocols:C100_SGD", "the same with SGD 0.1 (Table 10a of the paper)"),
        Offer("sre2l-in1k", "bench_sre2l.protocols:IN1K", "SRe2L on ImageNet-1K: AdamW 0.001, 300 epochs, CutMix"),
        Offer("cda-in1k", "bench_sre2l.protocols:CDA_IN1K", "CDA on ImageNet-1K: as SRe2L's, with batches of 128"),
    ]


@hookimpl
def bench_ladders() -> Sequence[Offer]:
    """What the paper's ablations try."""
    summaries = {
        "sre2l-table-8": "SRe2L's Table 8: image priors beside BatchNorm statistics, and crops",
        "sre2l-figure-4": "SRe2L's Figure 4: one set under labels of five temperatures",
    }
    return [Offer(name, Path(__file__).with_name(f"{name}.toml"), summary) for name, summary in summaries.items()]
