"""Condensed sets that somebody else made: a folder with a manifest.json, written by us or by hand.

By hand it is short. Images in folders named by class id, or in Parquet files, are read as a dataset's are:

    {"source": {"layout": "image-folder", "options": {"train": "images"}}, "method": "rded", "protocol": "soft"}

Tensors come from one safetensors, NumPy (.npz) or PyTorch file (read without pickle):

    {"source": {"file": "set.pt", "images": "images", "labels": "labels", "range": "normalised"}, "method": "mtt"}

`range` is "0..255", "0..1", "normalised" (by `mean` and `std`, which default to the dataset's) or "whitened", and is
held against the pixels (`bench.interchange.pixels`). Labels are class indices in the order of `classes`; ids that
images carry beat any order, and `bench.interchange.class_order` has the rule in full. Soft labels are a third tensor,
(N, K) probabilities, which the source names as "soft"; or they are "logits", or targets of a "regression".

A set that belongs to ZCA-whitened data, whatever its range, brings the whitening, which test images then go through:

    {"source": {"file": "set.pt", "range": "whitened", "soft": "labels_soft"}, "method": "mtt",
     "zca": {"file": "zca.pt", "mean": "mean_vector", "matrix": "transform_matrix"}}

A flattened image x (C, H, W) in [0, 1] becomes (x - mean) matrix. Constants of a normalisation before it are folded in.
One that lies in no file is fitted on the training split: {"fit": "kornia", "eps": 0.1} (MTT, TESLA, DATM).
"""

from bench.interchange.handwritten import HandWritten as HandWritten
from bench.interchange.handwritten import TensorSource as TensorSource
from bench.interchange.handwritten import ZcaSource as ZcaSource
from bench.interchange.manifest import about as about
from bench.interchange.manifest import fingerprint as fingerprint
from bench.interchange.manifest import set_of as set_of
from bench.interchange.reading import Foreign as Foreign
from bench.interchange.reading import images_per_class as images_per_class
from bench.interchange.reading import read as read
from bench.interchange.reading import read_foreign as read_foreign
from bench.interchange.reading import read_own as read_own
