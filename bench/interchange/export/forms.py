"""The forms themselves: what of a set goes where, and what a manifest says of it.

The folders are those of the releases: SRe2L's (VILA-Lab/SRe2L, `newNNN/classNNN_idNNN`) and RDED's (LINs-lab/RDED,
`NNNNN/classNNNNN_idNNNNN`); pictures are PNG, which keeps every level, where those have JPEG. The tensors are those of
DC and DM (VICO-UoE/DatasetCondensation, `{'data': [[images, labels]]}`) and of MTT (GeorgeCazenavette/mtt-distillation,
`images_best.pt` and `labels_best.pt`).
"""

import io
import json
import tarfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from bench.errors import UsageError
from bench.sets.condensed import CondensedSet
from bench.sets.tensor_files import ALONE
from bench.storage.names import brief
from bench.storage.paging import parts
from bench.storage.users_files import plain_name

ROWS = 1000  # of a row group


class Form(ABC):
    """A form. It must write `write`, which returns the `source` of the set's manifest.

    Attributes:
        about: what it is, in a line.
        pictures: whether it keeps pictures of 8 bits, and not the values.
    """

    about: ClassVar[str]
    pictures: ClassVar[bool] = True

    @abstractmethod
    def write(self, folder: Path, condensed: CondensedSet) -> Mapping[str, Any]:
        """Writes the images of a set and their classes into an empty folder.

        Args:
            condensed: of pictures, with pixels of uint8.
        """


class Folders(Form):
    """A folder of PNG for each class."""

    about: ClassVar[str] = "PNG in a folder for each class, images/<class id>/"

    def write(self, folder: Path, condensed: CondensedSet) -> Mapping[str, Any]:
        """Pictures by their class, numbered in the set's order."""
        for content, name in zip(_pngs(condensed), self.names(condensed), strict=True):
            path = folder / "images" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return {"layout": "image-folder", "options": {"train": "images"}}

    def names(self, condensed: CondensedSet) -> list[str]:
        """Of each picture, "folder/name" without its suffix. Raises as `folder_of`."""
        classes, seen, found = condensed.images.classes, Counter[int](), list[str]()
        digits = len(str(int(classes.bincount().max()) - 1))
        for index in classes.tolist():
            found.append(f"{self.folder_of(index, condensed)}/{self.name_of(index, seen[index], digits)}")
            seen[index] += 1
        return found

    def folder_of(self, index: int, condensed: CondensedSet) -> str:
        """The name of a class's folder. Raises UsageError: its id is no name of a folder."""
        name = condensed.classes[index]
        try:
            usable = plain_name(name) == name and "/" not in name and not name.startswith(".") and name != ""
        except ValueError:
            usable = False
        if not usable:
            raise UsageError(
                f"the class {brief(name)} cannot be the name of a folder; take --to rded, which numbers them"
            )
        return name

    def name_of(self, index: int, number: int, digits: int) -> str:
        """The name of a picture without its suffix, so that they sort in the set's order.

        Args:
            digits: that the largest number of a class's pictures has.
        """
        return f"{number:0{max(6, digits)}d}"


class Numbered(Folders):
    """Folders and pictures with numbers of classes, as a release has them: of so many digits, or more if need be."""

    def __init__(self, whose: str, folder: str, digits: int) -> None:
        self._folder, self._digits = folder, digits
        self.about = f"PNG as {whose} lies, {folder.format(7)}/{self.name_of(7, 0, 1)}.png"  # type: ignore[misc]

    def folder_of(self, index: int, condensed: CondensedSet) -> str:
        """By the number of the class."""
        return self._folder.format(index)

    def name_of(self, index: int, number: int, digits: int) -> str:
        """By the numbers of the class and the picture."""
        return f"class{index:0{self._digits}d}_id{number:0{max(self._digits, digits)}d}"


class Parquet(Form):
    """Pictures and labels in one file, in the columns of Hugging Face."""

    about: ClassVar[str] = "one Parquet file in Hugging Face's columns, image and label"
    file: ClassVar[str] = "train.parquet"

    def write(self, folder: Path, condensed: CondensedSet) -> Mapping[str, Any]:
        """A row an image, in the set's order; the schema names the classes by their ids."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path, schema = folder / self.file, _schema(condensed)
        path.parent.mkdir(parents=True, exist_ok=True)
        images = ({"bytes": each, "path": f"{number:06d}.png"} for number, each in enumerate(_pngs(condensed)))
        with pq.ParquetWriter(path, schema) as writer:
            for labels in condensed.images.classes.split(ROWS):
                rows = [{"image": image, "label": label} for label, image in zip(labels.tolist(), images, strict=False)]
                writer.write_table(pa.Table.from_pylist(rows, schema))
        return {"layout": "parquet", "options": {"train": self.file}}


class HuggingFace(Parquet):
    """The same where `datasets.load_dataset` looks for it; the card beside it says so."""

    about: ClassVar[str] = "a Hugging Face dataset: data/train-00000-of-00001.parquet, and its card"
    file: ClassVar[str] = "data/train-00000-of-00001.parquet"


class WebDataset(Form):
    """Pictures and the numbers of their classes in a tar file, a sample after the other."""

    about: ClassVar[str] = "a WebDataset shard, train-000000.tar: NNNNNN.png and NNNNNN.cls"

    def write(self, folder: Path, condensed: CondensedSet) -> Mapping[str, Any]:
        """One shard, in the set's order; two exports of one set are the same bytes."""
        with tarfile.open(folder / "train-000000.tar", "w") as archive:
            for number, (content, index) in enumerate(zip(_pngs(condensed), condensed.images.classes, strict=True)):
                for suffix, part in (("cls", str(int(index)).encode()), ("png", content)):
                    member = tarfile.TarInfo(f"{number:06d}.{suffix}")
                    member.size = len(part)
                    archive.addfile(member, io.BytesIO(part))
        return {"layout": "webdataset"}


class Tensors(Form):
    """Images as networks see them and labels, in lists of lists."""

    about: ClassVar[str] = "tensors as DC and DM save them, {'data': [[images, labels]]}"
    pictures: ClassVar[bool] = False

    def write(self, folder: Path, condensed: CondensedSet) -> Mapping[str, Any]:
        """One file, without what else those programs keep in it."""
        torch.save({"data": [[condensed.normalised(), condensed.images.classes]]}, folder / "set.pt")
        return {
            "file": "set.pt",
            "images": "data.0.0",
            "labels": "data.0.1",
            "range": condensed.preprocessing.value_range,
        }


class Apart(Form):
    """Images as networks see them in one file, labels in another."""

    about: ClassVar[str] = "tensors as MTT saves them, images_best.pt and labels_best.pt"
    pictures: ClassVar[bool] = False

    def write(self, folder: Path, condensed: CondensedSet) -> Mapping[str, Any]:
        """Each file holds one tensor."""
        files = {"file": "images_best.pt", "labels_file": "labels_best.pt"}
        torch.save(condensed.normalised(), folder / files["file"])
        torch.save(condensed.images.classes, folder / files["labels_file"])
        return {**files, "images": ALONE, "labels": ALONE, "range": condensed.preprocessing.value_range}


FORMS: Mapping[str, Form] = {
    "folder": Folders(),
    "parquet": Parquet(),
    "hf": HuggingFace(),
    "webdataset": WebDataset(),
    "pt": Tensors(),
    "mtt": Apart(),
    "sre2l": Numbered("SRe2L's release", "new{:03d}", 3),
    "rded": Numbered("RDED's release", "{:05d}", 5),
}


def png(pixels: Tensor) -> bytes:
    """uint8 (C, H, W) of one or three channels as a PNG file, which has every level as it was."""
    array, buffer = pixels.permute(1, 2, 0).contiguous().numpy(), io.BytesIO()
    Image.fromarray(array if array.shape[2] == 3 else array[..., 0]).save(buffer, "PNG")
    return buffer.getvalue()


def _schema(condensed: CondensedSet) -> Any:  # noqa: ANN401 - pyarrow is not typed
    import pyarrow as pa

    label = {"names": list(condensed.classes), "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    return pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def _pngs(condensed: CondensedSet) -> Iterator[bytes]:
    return (png(each) for part in parts(condensed.images.pixels, unchanged=True) for each in part)
