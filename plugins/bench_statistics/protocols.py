"""How G-VBSM, EDC, SC-DD, CV-DD, LPLD, FADRM and DELT train on their sets; the recipes are in protocols.toml.

All report the best of the epochs at which they test; here it is the last. All leave biases and norm scales without
weight decay, SC-DD on CIFAR-100 apart. The temperature is the labels' own: 20, and 30 in SC-DD's code for CIFAR-100; a
mean square of logits has none. Where paper and released code differ, or the code has a quirk:

- G-VBSM (shaoshitong/G_VBSM_Dataset_Condensation). gamma is 0.1 on ImageNet-1K and Tiny-ImageNet and 0.15 on CIFAR, as
  in the scripts. AdamW has no weight decay on CIFAR-10, where the script gives none and the code's default is 0.
  Beside train.sh, train_FKD.py for Tiny-ImageNet has a note of other decays (1e-4 for ResNet-18, 1e-3 for ResNet-50
  and -101); the script's 5e-4 is taken. The class beside CutMix is the image's own. On ImageNet-1K its script has two
  GPUs, so BatchNorm sees half of each part, 512 images (128 for ResNet-50 and -101); here it sees the part.
- EDC (shaoshitong/EDC). The ImageNet-1K script says "cos", which with --st 2 is half a cosine; "cos2" is
  `cosine-linear`. Its patches are not shuffled: what should do so puts them back as they were. SGD has momentum 0.875,
  the code's default. RandAugment (torchvision's, all defaults) acts before the crop in all branches but ImageNet-1K's.
  Batches of 25 on CIFAR-10 are the paper's, 10 at IPC 1 the script's. The average of the weights meets BatchNorm's
  statistics of the live network (`ema_buffers`), because its code swaps parameters alone. Its code labels small sets
  while students train and ImageNet-1K before.
- SC-DD (VILA-Lab/SRe2L, folder SCDD). On CIFAR-100 `sc-dd` is the code: AdamW 0.001, whatever --lr says, and a cosine
  over a literal 600 epochs of which 200 are trained. `sc-dd-paper` is the paper's table: AdamW 0.005, a whole cosine.
  For Tiny-ImageNet there is no code. Its "Best Acc" is the largest accuracy over the batches seen so far in a test,
  which no test here is.
- CV-DD (Jiacheng8/CV-DD), also for SRe2L++, its baseline. Rates and lengths of the cosine are by dataset, network and
  images per class, as the code has them: they were chosen on the test set. For other networks they are ResNet-18's,
  where the code takes no other, and for other numbers of images those of the next smaller. --epochs 1000 on CIFAR-10
  goes with a rate of 0.0005. The batch of 16 is seen in two parts, so BatchNorm sees eight images; labels are to be
  made by a teacher in training mode, which sees the same halves (relabel.teacher_mode=train-halves).
- LPLD (he-y/soft-label-pruning-for-dataset-distillation). The protocol is its training alone; that an epoch's batches
  are drawn from the labels that were kept is theirs (relabel.keep). The code leaves an epoch's last, smaller batch out
  of the draw. Its script for ImageNet-1K has four GPUs, so BatchNorm sees 32 images; here it sees all 128.
  ImageNet-21K's setting is not here.
- FADRM (Jiacheng8/FADRM), also for FADRM+: CV-DD's code with other rates and cosines, chosen on the test set, too;
  1,000 epochs on CIFAR-100, and on Tiny-ImageNet at IPC 1. For ResNet-101 on ImageNette at IPC 10 the code fails; here
  it is as at 1.
- DELT (VILA-Lab/DELT): RDED's code with RandAugment and crops of at least a quarter. Its scripts are ImageNet-1K's
  alone; what they set is taken for all. RandAugment there is timm's rand-m6-n2-mstd1.0, before the crop; here it
  is DeiT's of magnitude 6, after it. It reports the best of the epochs.
- A release that accumulates gradients divides those of an epoch's last batch by the number of parts of a whole one;
  here they are those of the batch's mean.
"""

from pathlib import Path

from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

BOOKS = RecipeBook.load_several(Path(__file__).with_name("protocols.toml"))
PROTOCOLS = {name: TrainingProtocol(name, "own", book, paper_reports="best") for name, book in BOOKS.items()}

G_VBSM = PROTOCOLS["g-vbsm"]
G_VBSM_SMOOTH = PROTOCOLS["g-vbsm-smooth"]
G_VBSM_SMALL = PROTOCOLS["g-vbsm-smooth-small"]
EDC = PROTOCOLS["edc"]
SC_DD = PROTOCOLS["sc-dd"]
SC_DD_PAPER = PROTOCOLS["sc-dd-paper"]
CV_DD = PROTOCOLS["cv-dd"]
LPLD = PROTOCOLS["lpld"]
FADRM = PROTOCOLS["fadrm"]
DELT = PROTOCOLS["delt"]
