"""Views that are recorded beside stored labels from elsewhere (FKD): replayed, not drawn.

Our own stored labels keep no crop: their views follow from a seed (`bench.training.views`). Labels from elsewhere come
with the views that the teacher saw, and a student must see the same.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bench.training.recipes import TrainingRecipe
from bench.training.views import BatchView, Mix

BATCH, ORDER, BOXES, FLIPS = "batch_size", "order", "boxes", "flips"
PARTNERS, SHARES, MIX_BOXES = "partners", "shares", "mix_boxes"

# What a record has no place for must be off in a recipe that follows it.
UNRECORDED = {
    **{"shuffle_patches": 1, "dsa": "", "augmax": "", "jitter": 0.0, "lighting": 0.0},
    **{"randaugment": 0, "erasing": 0.0, "drop_last": False},
}


class RecordedViews:
    """The views of a training, epoch by epoch, from tensors: what `Views` is for drawn ones.

    Args:
        record: the tensors by name, over E epochs of N presented images in B batches:
            "batch_size": int (), images of every batch but the last;
            "order": int (E, N), which image is presented where;
            "boxes": int (E, N, 4), top, left, height, width of each crop, in pixels;
            "flips": bool (E, N);
            "partners": int (E, N), for mixed batches each image's partner by its place in the batch;
            "shares": float (E, B), lambda of each batch's mix;
            "mix_boxes": int (E, B, 4), top, bottom, left, right of what CutMix pastes; absent for Mixup.
    """

    def __init__(self, record: Mapping[str, Tensor]) -> None:
        self.record, self.batch_size = record, int(record[BATCH])
        self.epochs, self.presented = record[ORDER].shape
        self.batches = -(-self.presented // self.batch_size)

    @property
    def mix(self) -> str:
        """How batches are mixed, in the words of a training recipe."""
        if PARTNERS not in self.record:
            return "none"
        return "cutmix" if MIX_BOXES in self.record else "mixup"

    def at(self, epoch: int, batch: int) -> BatchView:
        """The view of one batch."""
        start = batch * self.batch_size
        part = slice(start, start + self.batch_size)
        return BatchView(
            epoch=epoch,
            start=start,
            indices=self.record[ORDER][epoch, part].long(),
            boxes=self.record[BOXES][epoch, part].long(),
            flips=self.record[FLIPS][epoch, part],
            mix=self._mix(epoch, batch, part),
        )

    def _mix(self, epoch: int, batch: int, part: slice) -> Mix | None:
        if self.mix == "none":
            return None
        partners, share = self.record[PARTNERS][epoch, part].long(), float(self.record[SHARES][epoch, batch])
        if self.mix == "mixup":
            return Mix(partners, share, None)
        top, bottom, left, right = self.record[MIX_BOXES][epoch, batch].tolist()
        return Mix(partners, share, (top, bottom, left, right))

    @property
    def fields(self) -> dict[str, Any]:
        """What a recipe must say for a student to follow them; its epochs may be fewer."""
        return {"batch_size": self.batch_size, "crop": "resized", "flip": True, "mix": self.mix, **UNRECORDED}

    def differing(self, recipe: TrainingRecipe) -> list[str]:
        """How a recipe differs from what is recorded, a line each; empty where a student can follow it.

        Its epochs may be fewer than those recorded. The scale of the crops is not written down, and not compared.
        """
        ours = self.fields
        theirs = {name: getattr(recipe, name) for name in ours}
        theirs["batch_size"] = min(recipe.batch_size, self.presented)
        found = [f"{name} {ours[name] or 'none'} not {theirs[name]}" for name in ours if ours[name] != theirs[name]]
        return [f"epochs {self.epochs} not {recipe.epochs}", *found] if recipe.epochs > self.epochs else found
