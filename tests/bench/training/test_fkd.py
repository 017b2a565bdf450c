"""Labels that others stored: a folder written as the releases write it is read, and its views are presented again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import BatchSampler, RandomSampler
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as F

from bench.data.datasets import Normalisation
from bench.errors import UsageError
from bench.progress import Silent
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.fkd import FkdFolder, read_batch
from bench.training.soft_labels.recorded import RecordedViews
from bench.training.views import apply

SIZE, IMAGES, BATCH, EPOCHS, CLASSES = 16, 7, 3, 2, 4
HALF = Normalisation((0.5,) * 3, (0.5,) * 3)


def pictures() -> Tensor:
    """uint8 (7, 3, 16, 16), smooth, so that rounding of resized pixels stays small."""
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for _ in range(IMAGES)]
    arrays = [np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for picture in coarse]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def teacher() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, CLASSES)).eval()


def written(folder: Path, mix: str, seed: int = 42, parts: int = 6) -> list[Tensor]:
    """Writes a folder as the releases do, by PIL and torchvision, and returns what the teacher saw, batch by batch.

    Of seven parts as G-VBSM's relabelling, of eight as EDC's.
    """
    images, network, seen = pictures(), teacher(), []
    generator = torch.Generator().manual_seed(seed)
    batches = BatchSampler(RandomSampler(range(IMAGES), generator=generator), BATCH, drop_last=False)
    rng = np.random.default_rng(5)
    torch.manual_seed(7)
    for epoch in range(EPOCHS):
        (folder / f"epoch_{epoch}").mkdir(parents=True)
        for number, chosen in enumerate(batches):
            crops, flips, shown = zip(*(_shown(images[index]) for index in chosen), strict=True)
            batch, (partners, share, box) = _mixed(torch.stack(shown), mix, rng)
            with torch.no_grad():
                logits = network(batch).half()
            said = [torch.stack(crops), torch.tensor(flips), partners, share, box, logits]
            said += [torch.tensor(chosen), torch.zeros(len(chosen), 2, 2, dtype=torch.int32)]
            torch.save(said[:parts], folder / f"epoch_{epoch}" / f"batch_{number}.tar")
            seen.append(batch)
    return seen


def _shown(pixels: Tensor) -> tuple[Tensor, bool, Tensor]:
    """Crop, flip and normalise one picture with PIL."""
    picture = F.to_pil_image(pixels)
    top, left, height, width = RandomResizedCrop.get_params(pixels, [0.08, 1.0], [3 / 4, 4 / 3])
    flip = bool(torch.rand(1) < 0.5)
    picture = F.resized_crop(picture, top, left, height, width, [SIZE, SIZE])
    shown = F.normalize(F.to_tensor(F.hflip(picture) if flip else picture), [0.5] * 3, [0.5] * 3)
    return torch.tensor([top, left, height, width]) / SIZE, flip, shown


def _mixed(
    batch: Tensor, mix: str, rng: np.random.Generator
) -> tuple[Tensor, tuple[Tensor | None, float | None, list[int] | None]]:
    if mix == "none":
        return batch, (None, None, None)
    partners, share = torch.randperm(len(batch)), rng.beta(1.0, 1.0)
    if mix == "mixup":
        return share * batch + (1 - share) * batch[partners], (partners, share, None)
    top, left = rng.integers(0, SIZE // 2, 2)
    box = [top, left, np.int64(top + 5), left + 7]
    mixed = batch.clone()
    mixed[:, :, top : top + 5, left : left + 7] = batch[partners][:, :, top : top + 5, left : left + 7]
    return mixed, (partners, share, box)


def read(folder: Path, seed: int = 42) -> tuple[RecordedViews, Tensor]:
    found = FkdFolder.at(folder)
    logits = torch.empty(found.shape, dtype=torch.float16)
    return RecordedViews(found.read(logits, SIZE, seed, Silent())), logits


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_every_batch_is_presented_as_the_teacher_saw_it(tmp_path: Path, mix: str) -> None:
    seen = written(tmp_path, mix)
    views, logits = read(tmp_path)
    assert (views.epochs, views.batches, views.mix) == (EPOCHS, 3, mix)
    network, images = teacher(), HALF.apply(pictures())
    for number, batch in enumerate(seen):
        view = views.at(*divmod(number, views.batches))
        shown = apply(view, images[view.indices])
        assert torch.allclose(shown, batch, atol=1.5 / 127.5)  # PIL rounds to whole levels, once or twice
        answers = logits[view.epoch, view.start : view.start + len(view)]
        assert torch.equal(answers, network(batch).half())


def test_with_another_seed_the_batches_hold_other_images(tmp_path: Path) -> None:
    written(tmp_path, "none", seed=43)
    assert not torch.equal(read(tmp_path)[0].record["order"], read(tmp_path, seed=43)[0].record["order"])


def test_a_recipe_must_ask_for_the_views_that_are_recorded(tmp_path: Path) -> None:
    written(tmp_path, "cutmix")
    views, _ = read(tmp_path)
    fits = {"epochs": 2, "batch_size": 3, "lr": 0.1, "weight_decay": 0.0, "crop": "resized", "flip": True}

    def differing(**changes: object) -> list[str]:
        return views.differing(TrainingRecipe.model_validate({**fits, **changes}))

    assert differing(mix="cutmix") == [] == differing(mix="cutmix", epochs=1)
    assert differing() == ["mix cutmix not none"]
    more = differing(mix="cutmix", epochs=3, batch_size=1024, dsa="flip")
    assert more == ["epochs 2 not 3", "batch_size 3 not 7", "dsa none not flip"]


@pytest.mark.parametrize("parts", [7, 8])
def test_files_that_say_which_images_they_hold_need_no_seed(tmp_path: Path, parts: int) -> None:
    """As G-VBSM's and EDC's do."""
    seen = written(tmp_path, "cutmix", seed=43, parts=parts)
    views, _ = read(tmp_path)
    images = HALF.apply(pictures())
    for number, batch in enumerate(seen):
        view = views.at(*divmod(number, views.batches))
        assert torch.allclose(apply(view, images[view.indices]), batch, atol=1.5 / 127.5)


def test_files_that_say_their_images_wrongly_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "none", parts=8)
    path = tmp_path / B
    *parts, images, patches = torch.load(path, weights_only=False)
    for changed, said in (
        ([images * 0, patches], "does not present each of 7 images once"),
        ([images, patches + 1], "patches shuffled"),
        ([images[:2], patches], "images are no tensor"),
        ([], "do not both say which images"),
    ):
        torch.save([*parts, *changed], path)
        with pytest.raises(UsageError, match=said):
            read(tmp_path)


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _replaced(name: str, *parts: object) -> Callable[[Path], None]:
    return lambda folder: torch.save(list(parts), folder / name)


def _text(folder: Path) -> None:
    (folder / "epoch_1" / "batch_2.tar").write_text("no tensor")


B = "epoch_1/batch_1.tar"
CROPS, FLIPS, LOGITS = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(3, 1), torch.zeros(3) > 0, torch.zeros(3, CLASSES)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_without(B), "lacks batch_1"),
        (_without("epoch_1/batch_2.tar"), "has 2 batches"),
        (_text, "no readable batch"),
        (_replaced(B, CROPS, FLIPS), "does not hold the 6 parts"),
        (_replaced(B, CROPS, FLIPS, None, None, None, LOGITS[:, :2]), "not (3, 4)"),
        (_replaced(B, CROPS, FLIPS, None, None, None, LOGITS / 0), "not finite"),
        (_replaced(B, CROPS * 2, FLIPS, None, None, None, LOGITS), "crops leave the image"),
        (_replaced(B, CROPS * torch.nan, FLIPS, None, None, None, LOGITS), "crops are no fractions"),
        (_replaced(B, CROPS, FLIPS, torch.arange(3), 1.5, None, LOGITS), "lambda is 1.5, not 0 to 1"),
        (_replaced(B, CROPS, FLIPS, torch.arange(3), None, None, LOGITS), "lambda is None"),
        (_replaced(B, CROPS, FLIPS, torch.arange(3), 0.5, [0, 9, 4, 5], LOGITS), "no [top, left, bottom, right]"),
        (_replaced(B, CROPS, FLIPS[:2], None, None, None, LOGITS), "flips are no tensor"),
        (_replaced(B, CROPS, FLIPS, torch.tensor([0, 0, 1]), 0.5, None, LOGITS), "no permutation"),
        (_replaced(B, CROPS, FLIPS, torch.arange(3), 0.5, None, LOGITS), "is mixed by mixup, the first batch by none"),
        (_replaced(B, CROPS, FLIPS, None, None, None, Path), "no readable batch"),  # a class: code, not data
    ],
)
def test_what_is_not_such_a_folder_is_refused(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    written(tmp_path, "none")
    damage(tmp_path)
    with pytest.raises(UsageError) as refusal:
        read(tmp_path)
    assert said in str(refusal.value)


def test_boxes_of_larger_images_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "cutmix")
    path = tmp_path / "epoch_1" / "batch_0.tar"
    crops, flips, partners, _, _, logits = torch.load(path, weights_only=False)
    torch.save([crops, flips, partners, 0.75, [0, 0, 28, 28], logits], path)
    with pytest.raises(UsageError, match="mixes by the box 0, 0, 28, 28 in pixels, and the images have 16 a side"):
        read(tmp_path)


def test_numbers_of_older_numpy_are_read(tmp_path: Path) -> None:
    """Releases were run with numpy 1, whose scalars are pickled under another module's name."""
    written(tmp_path, "cutmix")
    path = tmp_path / "epoch_0" / "batch_0.tar"
    content = path.read_bytes()
    import zipfile

    older = tmp_path / "older.tar"
    with zipfile.ZipFile(path) as there, zipfile.ZipFile(older, "w", zipfile.ZIP_STORED) as here:
        for name in there.namelist():
            held = there.read(name)
            here.writestr(name, held.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy._core" in content and b"numpy._core" not in older.read_bytes()
    assert read_batch(older).box == read_batch(path).box


@pytest.mark.parametrize(
    "augmentation",
    [{"dsa": "color"}, {"augmax": "color"}, {"jitter": 0.4}, {"lighting": 0.1}, {"erasing": 0.5}, {"randaugment": 9}],
    ids=str,
)
def test_a_record_of_crops_and_flips_is_not_of_other_augmentation(augmentation: dict[str, Any]) -> None:
    """Which a student of recorded views would not get."""
    record = {"batch_size": torch.tensor(4), "order": torch.zeros(2, 8, dtype=torch.int64)}
    recipe = TrainingRecipe(epochs=2, batch_size=4, lr=0.1, weight_decay=0, crop="resized", flip=True)
    assert not RecordedViews(record).differing(recipe)
    (said,) = RecordedViews(record).differing(recipe.model_copy(update=augmentation))
    assert next(iter(augmentation)) in said
