"""SRe2L as it is, with labels stored for three epochs and students of three epochs: every step of a run in a second."""

from collections.abc import Sequence

from bench.condensation import Images, Task
from bench.hookspecs import Offer, hookimpl
from bench.labels import Labels, StoredLabels
from bench.recipes import RecipeBook, Setting
from bench.training.protocol import TrainingProtocol
from bench.training.soft_labels.stored import store_labels
from bench_sre2l.method import SRe2L

RECIPE = {
    "source": "ours: three epochs, for tries",
    **{"epochs": 3, "batch_size": 64, "lr": 0.01, "weight_decay": 5e-4, "schedule": "constant"},
}
BOOK = RecipeBook({"recipes": {"small": RECIPE, "large": RECIPE}})
BRIEF, BRIEF_HARD = TrainingProtocol("brief", "own", BOOK), TrainingProtocol("brief-hard", "hard", BOOK)


class Brief(SRe2L):
    """SRe2L whose labels are stored for the brief protocol."""

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """The brief one."""
        return BRIEF.name

    @property
    def label_kind(self) -> str:
        """Always."""
        return StoredLabels.kind

    def label(self, task: Task, images: Images) -> Labels:
        """Stored for every view of the brief protocol."""
        recipe, temperature = BRIEF.plan(task.setting).training, self.config.relabel.temperature
        seed = task.seed_for("relabel")
        return store_labels(task, self._teacher, images, recipe, temperature=temperature, view_seed=seed)


@hookimpl
def bench_methods() -> Sequence[Offer]:
    return [Offer("brief", Brief, "SRe2L in a second")]


@hookimpl
def bench_protocols() -> Sequence[Offer]:
    return [Offer("brief", BRIEF, "three epochs, own labels"), Offer("brief-hard", BRIEF_HARD, "three epochs")]
