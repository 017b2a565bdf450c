"""All training images."""

from typing import ClassVar

import torch

from bench.condensation import Condenser, Images, MethodConfig, Task, Unit


class FullData(Condenser[MethodConfig]):
    """Every training image once, pixels as they are: what a network learns from the dataset itself.

    Papers print it as "whole dataset". None of those whose tables have ConvNets says how they were trained, so its own
    protocol is `hard`.
    """

    takes_all: ClassVar[bool] = True

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """The training split in its order."""
        train = task.dataset.train
        return Images(train.take(torch.arange(len(train))), train.labels)
