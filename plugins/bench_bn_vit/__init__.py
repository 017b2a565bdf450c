"""Vision transformers, and the one that BatchNorm makes invertible.

- `deit-tiny`: DeiT-Tiny (Touvron et al., ICML 2021), timm's network.
- `bn-vit-tiny`: DeiT-Tiny with BatchNorm in place of every LayerNorm, and one BatchNorm more in every feed-forward
  network (SRe2L, NeurIPS 2023, section 2 and "BN-ViT Model Structure"; the paper's tables call it DeiT-Tiny-BN).

What the paper leaves open is as in the code that its authors posted (VILA-Lab/SRe2L, issue 7): the final norm is a
BatchNorm too; a BatchNorm's statistics are over images and tokens, with the class token among them; its momentum and
eps are torch's defaults. They named weights with a log of the training as well (issue 18:
huggingface.co/zeyuanyin/BN-ViT), which are not taken here: networks are trained. Patches at other sizes than 224 pixels
are ours.
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_backbones() -> Sequence[Offer]:
    """Both networks."""
    patches = "patches of 16 pixels at 224, 8 at 64, 4 at 32"
    return [
        Offer("deit-tiny", "bench_bn_vit.networks:deit_tiny", f"DeiT-Tiny of timm; {patches}"),
        Offer(
            name="bn-vit-tiny",
            target="bench_bn_vit.networks:bn_vit_tiny",
            summary=f"DeiT-Tiny with BatchNorm for LayerNorm (SRe2L section 2); {patches}",
            traits=frozenset({"batchnorm"}),
        ),
    ]
