"""A plugin of a method that lets one teacher or several, of backbones that its config names, label real images."""

from dataclasses import replace
from typing import ClassVar, Literal

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit
from bench.drawing import draw
from bench.hookspecs import Offer, hookimpl
from bench.labels import Labels, OnlineLabels
from bench.recipes import RecipeBook, Setting
from bench.training.protocol import TrainingProtocol
from bench.training.recipes import TeacherRecipe
from bench.training.soft_labels.stored import store_labels
from bench.training.teachers import Teacher, check_weights, obtain

VALUES = {"epochs": 2, "batch_size": 6, "lr": 0.01, "weight_decay": 0.0}
TABLE = {"source": "of tests", **VALUES}
FEW = TrainingProtocol("few", "own", RecipeBook({"recipes": {"small": TABLE, "large": TABLE}}))


class EnsembleConfig(MethodConfig):
    squeeze: TeacherRecipe = TeacherRecipe(epochs=1, batch_size=64, lr=0.01, weight_decay=0.0)
    teachers: tuple[str, ...] = ("convnet3-w32-bn", "convnet3")
    labels: Literal["online", "stored"] = "online"
    temperature: float = 4.0


class Ensemble(Condenser[EnsembleConfig]):
    Config: ClassVar[type[MethodConfig]] = EnsembleConfig

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        return "few"

    def backbones(self, setting: Setting) -> tuple[str, ...]:
        return self.config.teachers

    def check(self, setting: Setting) -> None:
        for name in self.config.teachers:
            check_weights(replace(setting, backbone=name), self.config.squeeze, "squeeze")

    def prepare(self, task: Task) -> None:
        seed = task.seed_for("squeeze")
        self.teachers: list[Teacher] = [
            obtain(task, self.config.squeeze, seed=seed, backbone=name) for name in self.config.teachers
        ]

    def synthesize(self, task: Task, unit: Unit) -> Images:
        chosen = torch.cat([draw(task.dataset, label, task.ipc, 0) for label in unit.classes])
        return Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])

    def label(self, task: Task, images: Images) -> Labels:
        temperature = self.config.temperature
        if self.config.labels == "stored":
            recipe = FEW.plan(task.setting).training
            return store_labels(task, self.teachers, images, recipe, temperature=temperature, view_seed=1)
        first, *others = [teacher.ref for teacher in self.teachers]
        return OnlineLabels(first, temperature, others=tuple(others))


@hookimpl
def bench_methods() -> list[Offer]:
    return [
        Offer("ensemble", Ensemble, "for tests"),
        Offer("normalised-ensemble", Ensemble, "for tests", needs=frozenset({"batchnorm"})),
    ]


@hookimpl
def bench_protocols() -> list[Offer]:
    return [Offer("few", FEW, "two epochs")]
