"""The forms in which logits of stored labels are kept: labels weigh far more than images, and a form is a budget."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

Store = Literal["fp16", "int8", "top-k"]
Arrays = Mapping[str, np.ndarray]
LOGITS = "logits"  # the tensor that every form has
CODES = 255  # the largest of 8 bits


class LogitForm(ABC):
    """How the logits of a view, one a class, become tensors, and are read again.

    Attributes:
        store: its name.
        of_a_temperature: whether what is kept is right for one temperature alone.
    """

    store: ClassVar[Store]
    of_a_temperature: ClassVar[bool] = False

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"store": self.store}

    @abstractmethod
    def parts(self, classes: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """What is kept of one view of so many classes: the type and the shape of each tensor, by name."""

    @abstractmethod
    def encode(self, logits: np.ndarray, temperature: float) -> Arrays:
        """The tensors of fp16 logits (B, K), which are finite; `temperature` is that of the labels."""

    @abstractmethod
    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, K) from the tensors of B views, on their device and without waiting for it."""

    def unfit(self, tensors: Mapping[str, Tensor], classes: int) -> str:
        """What is wrong with its tensors (E, N, ...) for so many classes, in words; "" for nothing."""
        rows = tensors[LOGITS].shape[:2]
        for name, (dtype, shape) in self.parts(classes).items():
            held, wanted = tensors[name], torch.from_numpy(np.empty(0, dtype)).dtype
            if held.dtype != wanted or tuple(held.shape) != (*rows, *shape):
                form = str(held.dtype).removeprefix("torch.")
                return f"{name} is {form} {tuple(held.shape)}, not {dtype} (E, N{''.join(f', {n}' for n in shape)})"
        return ""


@dataclass(frozen=True)
class Float16(LogitForm):
    """As they are, in fp16: 2 K bytes a view (FKD, SRe2L)."""

    store: ClassVar[Store] = "fp16"

    @property
    def facts(self) -> dict[str, Any]:
        """Nothing: manifests once knew no other form."""
        return {}

    def parts(self, classes: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """As in every form."""
        return {LOGITS: (np.dtype(np.float16), (classes,))}

    def encode(self, logits: np.ndarray, temperature: float) -> Arrays:
        """As in every form."""
        return {LOGITS: logits}

    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """As in every form; in fp16."""
        return rows[LOGITS]

    def unfit(self, tensors: Mapping[str, Tensor], classes: int) -> str:
        """Labels from elsewhere may be of any floats."""
        logits = tensors[LOGITS]
        if logits.ndim == 3 and logits.shape[-1] == classes and logits.is_floating_point():
            return ""
        form = str(logits.dtype).removeprefix("torch.")
        return f"stored labels are {form} {tuple(logits.shape)}, not floats (E, N, K)"


@dataclass(frozen=True)
class Int8(LogitForm):
    """One of 256 levels each, from the least to the largest logit of the view: K + 4 bytes a view.

    z = low + step x code, with step a 255th of the view's range, rounded up to fp16; the error is at most half a step.
    """

    store: ClassVar[Store] = "int8"

    def parts(self, classes: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """As in every form."""
        half = np.dtype(np.float16)
        return {LOGITS: (np.dtype(np.uint8), (classes,)), "low": (half, ()), "step": (half, ())}

    def encode(self, logits: np.ndarray, temperature: float) -> Arrays:
        """As in every form."""
        wide = logits.astype(np.float64)
        low = wide.min(1)
        step = _rounded_up((wide.max(1) - low) / CODES)
        divisor = np.where(step > 0, step, 1).astype(np.float64)
        codes = np.rint((wide - low[:, None]) / divisor[:, None])
        return {LOGITS: codes.astype(np.uint8), "low": low.astype(np.float16), "step": step}

    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """As in every form; in fp32."""
        low, step = rows["low"].float()[:, None], rows["step"].float()[:, None]
        return torch.addcmul(low, rows[LOGITS].float(), step)


@dataclass(frozen=True)
class TopK(LogitForm):
    """The k largest, and one number that stands for each of the rest: 4 k + 2 bytes a view, up to 32,767 classes.

    FKD's marginal smoothing (Shen and Xing, ECCV 2022) keeps the k largest probabilities and spreads what remains of 1
    evenly. Kept are logits, so that other losses than KL can be had: for the rest T log(mean of exp(z / T)), at the
    temperature T of the labels, with which the softmax at T is that smoothing of the softmax of all.

    Attributes:
        k: how many; below the number of classes.
        classes: how many there are.
    """

    store: ClassVar[Store] = "top-k"
    of_a_temperature: ClassVar[bool] = True
    k: int
    classes: int

    @property
    def facts(self) -> dict[str, Any]:
        """With both numbers."""
        return {"store": self.store, "k": self.k, "classes": self.classes}

    def parts(self, classes: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """As in every form."""
        half, index = np.dtype(np.float16), np.dtype(np.int16 if classes <= np.iinfo(np.int16).max else np.int32)
        return {LOGITS: (half, (self.k,)), "which": (index, (self.k,)), "rest": (half, ())}

    def encode(self, logits: np.ndarray, temperature: float) -> Arrays:
        """As in every form; of equal ones the first classes."""
        order = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")
        largest, others = order[:, : self.k], order[:, self.k :]
        rest = np.take_along_axis(logits, others, 1).astype(np.float64) / temperature
        top = rest.max(1)
        smooth = temperature * (top + np.log(np.exp(rest - top[:, None]).mean(1)))
        index = self.parts(self.classes)["which"][0]
        kept = np.take_along_axis(logits, largest, 1)
        return {LOGITS: kept, "which": largest.astype(index), "rest": smooth.astype(np.float16)}

    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """As in every form; in fp32."""
        rest = rows["rest"].float()[:, None].expand(-1, self.classes)
        return rest.scatter(1, rows["which"].long(), rows[LOGITS].float())

    def unfit(self, tensors: Mapping[str, Tensor], classes: int) -> str:
        """Its own number of classes must be the set's, and no index beyond."""
        if self.classes != classes:
            return f"stored labels are of {self.classes} classes, not {classes}"
        wrong = super().unfit(tensors, classes)
        beyond = not wrong and bool(((tensors["which"] < 0) | (tensors["which"] >= classes)).any())
        return "stored labels name classes that there are not" if beyond else wrong


FLOAT16 = Float16()


def form_from(facts: Mapping[str, Any]) -> LogitForm:
    """The form that a manifest says; fp16 where it says none. Raises LookupError for one that nobody knows."""
    forms = {"fp16": Float16, "int8": Int8}
    store = facts.get("store", FLOAT16.store)
    return TopK(facts["k"], facts["classes"]) if store == TopK.store else forms[store]()


def _rounded_up(values: np.ndarray) -> np.ndarray:
    """The least fp16 numbers that are not below."""
    halves = values.astype(np.float16)
    return np.where(halves < values, np.nextafter(halves, np.float16(np.inf)), halves)
