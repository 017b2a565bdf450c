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
- BatchNorm in DC and DSA: before every match a training-mode pass of 16 real images of each class moves the running
  statistics by BatchNorm's momentum, and the match uses these (code). The inner training normalises by its own batches,
  as in the code.
- Loops of the code run once more than its flags say (1,001 networks, 20,001 iterations, 301 or 1,001 epochs of a
  student). Here they run as often as the papers say.
- DM's step size is 10 from 100 images per class on for CIFAR-10 (paper); the code's default is 1: lr=1.
- A real batch holds 256 images of a class without repetition (code). Where the smallest class has fewer, all batches
  have as many as it has; the code's batches then differ in size.
- DC and DSA match class by class (code). The fast engine takes several at once where that is quicker, which is exact:
  while matching, BatchNorm's statistics stand still.
- DM puts all classes through a network with BatchNorm at once, and one by one through others (code). There the company
  does not matter, so the fast engine takes several classes at once, or of one class some of its real images;
  engine=reference does not.
- ConvNets with BatchNorm, of the release's width and three to five blocks, are trained 1,000 epochs on DC's images,
  shifted (code). There half of the images of a batch are shifted and the others get noise of 0.001; here all are
  shifted. What the code does with MNIST (shifts, scales and turns, 1,000 epochs) is done with `mnist` and `digits`, one
  of the three for a batch in place of one for an image, and turns of 15 degrees at most for 45.
- DSA never mirrors MNIST and SVHN, but Fashion-MNIST (readme). Ours for DM, MTT, TESLA and DATM are the same, and the
  last three whiten none of them.
- Under --precision auto the images of the three are made as by the code, in fp32 (on GPUs that have it tf32): bf16
  changes the gradients by the pixels, and those of MTT and TESLA hardly (docs/measuring.md, "Arithmetic"). DATM's are
  made so, too, and those of IDC and DREAM, whose own were not measured.
- Images are stored as float32: nothing holds them in the box of valid pixels.
- A dataset is normalised by its card, one for all methods. CIFAR-100's has CIFAR-10's constants, as MTT's and SRe2L's
  code; DC's, DSA's and DM's has 0.5071, 0.4866, 0.4409 (deviations 0.2673, 0.2564, 0.2762). Tiny-ImageNet's has the
  constants of SRe2L's code; DM's and MTT's has ImageNet's. A card of your own may say otherwise.

IDC and IDC-I (Kim et al., ICML 2022, arXiv 2205.14959; code: snu-mllab/Efficient-Dataset-Condensation):

- Weights of convolutions alone are matched (code); the paper sums over layers and says nothing of biases, norms and the
  classifier. Squared differences, or absolute ones, are summed and not divided by anything (code).
- One optimiser holds all images and is stepped after each class, so that momentum moves the images of all others, too
  (code). Here all classes go at once by the closed form of that (`bench_matching.turns`), which gives the same images.
- Pixels are clamped where a network begins, and between two nothing holds them in the box of valid ones (code), so
  images are stored as float32, in the space that networks see.
- Images start from real ones drawn at random (paper); the code takes the first of each class. Cells are shrunk by the
  nearest pixels (code). Real batches are drawn anew for each update; the code deals a shuffled class out.
- Rates are for ten images a class and multiplied by their number over ten (code; the paper does not say it). The code
  multiplies them by the pixels over those of 32 x 32 as well, which the recipes of Fashion-MNIST and, for DREAM,
  Tiny-ImageNet have in them.
- The network is trained in batches of as many as real images of a class are matched (code: one loader serves both);
  learn_batch says another number. After its last update a network is thrown away, so the code's training there is
  left out.
- BatchNorm normalises by each batch, of real and of synthetic images apart (code: networks in training mode).
- Of more decoded images than batch_synthetic some are drawn for each update (code). Where factor and images are many,
  decode=bounded decodes the first images of a class by the whole factor and the others by smaller ones (code, for
  ImageNet at 20 images a class); students see all of them by the whole factor.
- ImageNet-100 is made with networks from a pool that learned real images before (code; --set pool=0 makes each anew),
  twenty classes at a time in the code and all together here. Its script matches 64 real images a class, whatever its
  flag says.
- The code's evaluation looks at the test split at each quarter of the epochs and prints the best beside the last; which
  of them is published nobody says. Here it is the last.

DREAM (Liu et al., ICCV 2023, arXiv 2302.14416; code: lyq312318224/DREAM) shares IDC's points, and:

- Features are what the network of the moment gives its classifier of images whose pixels are in [0, 1], although it is
  trained on normalised ones (code); normalised=true takes those.
- The image nearest to a centre stands for it, so one image may stand for two (code).
- Centres start at images drawn at random and move for at most 100 rounds, or until they stand still (code's package);
  whether they do is looked at every ten rounds.
- The release's default for what is matched is that of DREAM+ (bi_match), which its script for DREAM does not know;
  gradients are matched here.
- Networks are as many as IDC's, as in the code. Its networks for ImageNet learn nothing before they match.
- The first network of the code is that in which images were started, and stays in evaluation mode, which changes
  nothing without BatchNorm. Here it is the first network as well.

MTT (Cazenavette et al., CVPR 2022, arXiv 2203.11932; code: GeorgeCazenavette/mtt-distillation):

- The hyper-parameters are those of the code's readme, which are also those of the commands that the authors gave to
  DC-BENCH (justincui03/dc_benchmark, methods/tm/readme.md), but for CIFAR-10 at 10 images per class: the readme's
  lr_img of 1e5 is a misprint, as its author says (issue 31), and the command has 100, with a first step size of 0.001.
- ImageNet's subsets at 128 pixels: the rates of the readme's command (lr_img=1e3). Where the author speaks of the same
  experiments (issue 1) it is 1e5; his batches of 20 at 10 images per class are taken from there.
- Experts are trained with SGD without momentum and weight decay, augmented as students are (code's defaults);
  experts.momentum and experts.weight_decay bring them back.
- Experts take turns in a shuffled order, and batches are parts of a permutation that begins anew with every iteration
  (code); the paper draws both.
- Augmentation is drawn for each image, not siamese, anew for every step (code): there is nothing to share it with.
- The loop of the code makes one iteration more than its flag says; here it is as many as the paper says.
- The code tests five networks every 100 iterations, each after its last epoch, on the test split and reports the best
  of these iterates; the last iterate is kept here, and nothing is chosen by testing.
- Nothing keeps the students' step size above 0 (code as well). Where it is found below, at the end or at a look every
  500 updates, the run fails and says so.
- A student with BatchNorm normalises by its batches (code: networks in training mode), and an expert's running
  statistics are not kept.
- engine=reference keeps the graphs of all steps, as the code does, and its memory grows with them. The fast engine
  makes each graph again when it is needed, which gives the same gradients: checkpointing=false keeps them too.

TESLA (Cui et al., ICML 2023, arXiv 2211.10586; code: justincui03/tesla) shares MTT's points, and:

- The code loses the factor 2 of the pixels' gradient (it doubles a tuple, issue 5), and its rates belong to that:
  half_gradient=true follows it; false takes the gradient of the paper's equations.
- Three settings are published: CIFAR-10 at 1, CIFAR-100 at 50, ImageNet-1K at 64 pixels. The others are MTT's.
- Whether CIFAR-10 at 1 is whitened is open: the readme's command for its experts has --zca, that for its images has
  not, and experts of one kind are no target for images of the other. It is not here; zca=true whitens both.
- Labels by the experts (labels=expert) are used for ImageNet-1K in the code, which cannot make them elsewhere; here
  every dataset can have them. The code puts the network that labels into evaluation mode without an expert's running
  statistics; here BatchNorm normalises by the batch, as in training.
- Earlier weights, which the code keeps for its second pass, are computed again, so that memory does not grow with the
  steps by them either. The graph that the code builds and throws away in its first pass is left out.

DATM (Guo et al., ICLR 2024, arXiv 2310.05773; code: NUS-HPC-AI-Lab/DATM) shares MTT's points, and:

- The hyper-parameters are those of the code's configurations for ConvNets with instance norm; experts are those of its
  readme's command: 100 epochs of FTD's GSAM. GSAM is that of the package gsam, which the code brings along
  (`bench.training.sharpness`).
- The gradient is MTT's exact one, as in the code's main script. Its second one (DATM_tesla.py, which came later) takes
  TESLA's and is left out here.
- Students learn from the softmax of the label logits (code), which move by SGD at a rate and a momentum of their own.
- An update is left out where its loss is above a threshold (code): images, labels and step size stay, and so do their
  momenta. A loss that is NaN leaves it out, too.
- Images to begin with are those that the first expert of a shuffled class recognises, then the next (code). The code
  begins a class with the expert that the class before it ended with; here each begins with the first. Where all experts
  together recognise too few, the code goes on for ever; here the first of the others fill the class, and the note
  `unrecognised` counts them.
- An image's first label is the mean of the logits of those experts that recognise it, after their last epoch (code;
  Label_Model_Timestamp). On CIFAR-100 at 50 images per class they are any real ones, with the logits of one expert
  (code: init=real). A control's images, and those to begin with that no expert recognises, have the mean of all
  experts where none recognises them.
- BatchNorm, for which the code has no experts, normalises by the batch where experts look and label, too.
- Students are trained without an average of their weights: the configurations name a decay for one (ema_decay), which
  the code's evaluation does not read.
- The code tests one network on the test split every 500 or 1,000 iterations and reports the best; as for MTT, the last
  iterate is kept here.
- The code's expansion_end_epoch counts iterations, and is called expansion_end here.
"""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods() -> Sequence[Offer]:
    """The methods."""
    return [
        Offer("dc", "bench_matching.dc:DC", "images whose gradients match those of real ones (ICLR 2021)"),
        Offer("dsa", "bench_matching.dc:DSA", "gradient matching under siamese augmentation (ICML 2021)"),
        Offer("dm", "bench_matching.dm:DM", "images whose features in random networks match real ones (WACV 2023)"),
        Offer("idc", "bench_matching.idc:IDC", "several images in each, whose gradients match real ones (ICML 2022)"),
        Offer("idc-i", "bench_matching.idc:IDCI", "the same with one image in each (ICML 2022)"),
        Offer("dream", "bench_matching.dream:DREAM", "IDC with real images that stand for their class (ICCV 2023)"),
        Offer("mtt", "bench_matching.mtt:MTT", "images that train a network along real trajectories (CVPR 2022)"),
        Offer("tesla", "bench_matching.tesla:TESLA", "trajectory matching in constant memory, soft labels (ICML 2023)"),
        Offer(
            "datm", "bench_matching.datm:DATM", "trajectories as late as images are many, learned labels (ICLR 2024)"
        ),
    ]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    """How the papers train on their sets."""
    return [
        Offer("dc", "bench_matching.protocols:DC", "DC: SGD 0.01, 300 epochs, no augmentation"),
        Offer("dsa", "bench_matching.protocols:DSA", "DSA and DM: SGD 0.01, 1000 epochs, DSA augmentation"),
        Offer(
            "idc",
            "bench_matching.protocols:IDC",
            "IDC and DREAM: SGD 0.01, 1000 epochs, several of DSA's families, CutMix",
        ),
        Offer("mtt", "bench_matching.protocols:MTT", "MTT: SGD with the learned step size, 1000 epochs, DSA"),
        Offer("tesla", "bench_matching.protocols:TESLA", "TESLA: as MTT, with the set's soft labels"),
        Offer("datm", "bench_matching.protocols:DATM", "DATM: as MTT in batches of 128, with the learned labels"),
    ]
