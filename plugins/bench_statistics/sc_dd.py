"""SC-DD (Zhou et al., arXiv 2404.07976; VILA-Lab/SRe2L, folder SCDD) as a condenser: SRe2L from a network that was
trained without labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import nn

from bench.condensation import MethodConfig, Task
from bench.errors import RunFailure, UsageError
from bench.recipes import RecipeBook, Setting
from bench.storage.files import file_digest
from bench.storage.users_files import regular
from bench.training.recipes import TrainingRecipe
from bench.training.teachers import Teacher, kept, obtain
from bench_statistics.config import Relabel, StatisticsConfig
from bench_statistics.contrastive import ContrastiveRecipe, self_supervised
from bench_statistics.method import PoolCondenser
from bench_statistics.probing import probe, put, weights_in


class SelfSupervisedRelabel(Relabel):
    """How the images are labelled.

    Attributes:
        teacher: "squeezed", a network trained with labels (by `squeeze`), as in the code for ImageNet-1K, or "probed",
            that which images are recovered from.
    """

    teacher: Literal["squeezed", "probed"] = "squeezed"


class SCDDConfig(StatisticsConfig):
    """The stages: without labels, the classifier, recovery, labels.

    Attributes:
        pretrained: a file of torch.save with a network that is trained already, such as one of MoCo's; "" trains one. A
            classifier in it for as many classes is taken over, or else one is trained.
        content: the file's SHA-256, found from `pretrained`; it stands for the file in the run's name.
        pretrain: how the network is trained without labels.
        probe: how its classifier is trained, all else as it is.
        squeeze: the network trained with labels, which labels; the one that all methods share.
    """

    aside: ClassVar[frozenset[str]] = frozenset({"pretrained"})

    pretrained: str = ""
    content: str = ""
    pretrain: ContrastiveRecipe
    probe: TrainingRecipe
    relabel: SelfSupervisedRelabel = Field(default=SelfSupervisedRelabel())

    @model_validator(mode="before")
    @classmethod
    def _content_of_weights(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("pretrained") and not values.get("content"):
            return {**values, "content": file_digest(regular(Path(str(values["pretrained"]))))}
        return values


class SCDD(PoolCondenser):
    """SRe2L from a network squeezed without labels, whose classifier alone was trained with them.

    What enters its BatchNorms varies more than in a network trained with labels, and tells recovery more. A network of
    the pool that images are not recovered from (`recover.without`) labels alone, and has no training without labels.
    """

    Config: ClassVar[type[MethodConfig]] = SCDDConfig
    book: ClassVar[RecipeBook] = RecipeBook.load(Path(__file__).with_name("sc_dd.toml"))
    papers_protocol: ClassVar[str] = "sc-dd"
    config: SCDDConfig

    def check(self, setting: Setting) -> None:
        """Weights that are handed over are of one network. Raises UsageError: they would be for several."""
        super().check(setting)
        unlabelled = self._unlabelled(setting.backbone)
        if self.config.pretrained and len(unlabelled) > 1:
            raise UsageError(
                f"pretrained weights are of one network, and {', '.join(unlabelled)} would take them; --set pool=[]"
            )
        if self.config.pretrained:
            weights_in(Path(self.config.pretrained))

    def prepare_labels(self, task: Task) -> None:
        """The networks that label."""
        if self.config.relabel.teacher == "probed":
            self._teachers = [self._probed(task, name) for name in self._unlabelled(task.backbone)]
            return
        seed, without = task.seed_for("squeeze"), self.config.relabel.without
        names = [name for name in self.config.networks(task.backbone) if name not in without]
        self._teachers = [obtain(task, self.config.squeeze_for(name), seed=seed, backbone=name) for name in names]

    def _looked_through(self, task: Task) -> Sequence[Teacher]:
        if self.config.relabel.teacher == "probed":
            return self._teachers
        return [self._probed(task, name) for name in self._unlabelled(task.backbone)]

    def _unlabelled(self, own: str) -> Sequence[str]:
        """Which networks are trained without labels: all, or where others label those that are recovered from."""
        if self.config.relabel.teacher == "probed":
            return self.config.networks(own)
        return tuple(dict.fromkeys((own, *self.config.recovered_from(own))))

    def _probed(self, task: Task, backbone: str) -> Teacher:
        """A network trained without labels, with its classifier; kept as a stage."""
        config, seed = self.config, task.seed_for("pretrain")
        weights, source = self._weights(task, backbone, seed)
        probing = config.probe.model_dump(mode="json")

        def train(folder: Path) -> nn.Module:
            network = task.network(0, backbone)
            if put(network, weights, config.pretrained or "the stage"):
                return network.eval()
            return probe(task, network, config.probe, seed, folder)

        found = kept(task, {"body": source, "probe": probing, "seed": seed}, train, backbone=backbone)
        task.facts[f"probed_top1_{backbone}"] = found.ref.top1
        return found

    def _weights(self, task: Task, backbone: str, seed: int) -> tuple[Mapping[str, Any], str]:
        """The body's weights, and what they are known by."""
        if not self.config.pretrained:
            stage = self_supervised(task, self.config.pretrain, seed=seed, backbone=backbone)
            return stage.tensors, stage.hash
        path = Path(self.config.pretrained)
        if file_digest(path) != self.config.content:
            raise RunFailure(f"{path} has changed since this run was asked for; ask for it again")
        return weights_in(path), self.config.content
