"""CV-DD (Cui et al., arXiv 2501.07575; Jiacheng8/CV-DD) as a condenser: a committee of networks votes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from bench import seeds
from bench.condensation import MethodConfig, Task
from bench.errors import UsageError
from bench.recipes import RecipeBook, Setting
from bench_statistics.config import Recover, Relabel, StatisticsConfig
from bench_statistics.method import PoolCondenser
from bench_statistics.sre2l_plus_plus import FILE
from bench_statistics.starts import Members

Positive = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(ge=0, le=100)]


class CommitteeRecover(Recover):
    """How to recover images from a few networks of the pool at a time.

    Attributes:
        committee: how many networks are drawn from the pool for each image number, the same for all classes.
        committees: or which they are: for image number i the i-th, from the first again after the last.
        prior_temperature: networks of a committee count by the softmax of their prior, divided by this.
    """

    committee: int = Field(default=2, ge=1)
    committees: tuple[tuple[str, ...], ...] = ()
    prior_temperature: Positive = 5.0

    @model_validator(mode="after")
    def _numbered(self) -> "CommitteeRecover":
        if self.order != "image-major":
            raise ValueError("a committee belongs to an image number: order must be 'image-major'")
        return self


class CommitteeRelabel(Relabel):
    """How all networks label together.

    Attributes:
        prior_temperature: they count by the softmax of their prior, divided by this.
    """

    prior_temperature: Positive = 10.0


class CVDDConfig(StatisticsConfig):
    """The three stages.

    Attributes:
        prior: the accuracy, in percent, of what each network alone condenses the dataset to. The release measured it on
            the test set. Where nothing is said of a network, it is the mean of what is said of others.
    """

    recover: CommitteeRecover
    relabel: CommitteeRelabel = CommitteeRelabel()
    prior: dict[str, Percent] = Field(default_factory=dict)


class CVDD(PoolCondenser):
    """SRe2L++ with a committee: at each image number two networks of five, weighed by what each is known to be worth.

        L(x) = sum over m of a_m (CE_m(x) + bn_weight R_BN,m(x)),   a = softmax(prior / prior_temperature)

    over the committee; labels are the mean of all networks' logits, weighed likewise.
    """

    Config: ClassVar[type[MethodConfig]] = CVDDConfig
    book: ClassVar[RecipeBook] = RecipeBook.load(FILE, Path(__file__).with_name("cv_dd.toml"))
    papers_protocol: ClassVar[str] = "cv-dd"
    config: CVDDConfig

    def check(self, setting: Setting) -> None:
        """Committees must be of the pool. Raises UsageError: they are not, or as `PoolCondenser.check`."""
        super().check(setting)
        pool, recover = self.config.recovered_from(setting.backbone), self.config.recover
        if recover.committee > len(pool):
            raise UsageError(f"recover.committee is {recover.committee}, and the pool has {', '.join(pool)}")
        if strange := {name for names in recover.committees for name in names} - set(pool):
            named = f"recover.committees names {', '.join(sorted(strange))}; the pool has {', '.join(pool)}"
            raise UsageError(f"{named}; --set recover.committees=[] draws from it")

    def passes(self, setting: Setting) -> Mapping[str, float]:
        """Each network as often as it is in a committee of the set, or as it is drawn on average; by pixels, too."""
        pool, recover = self.config.recovered_from(setting.backbone), self.config.recover
        pixels = self._share_of_pixels(setting)
        if not recover.committees:
            return dict.fromkeys(pool, pixels * recover.committee / len(pool))
        met = [recover.committees[number % len(recover.committees)] for number in range(setting.ipc)]
        return {name: pixels * sum(name in names for names in met) / len(met) for name in pool}

    def differs(self, setting: Setting) -> Sequence[str]:
        """A network that the release's committee has not, and of which no prior is known."""
        pool = self.config.networks(setting.backbone)
        unknown = [name for name in pool if self.config.prior and name not in self.config.prior]
        return [f"{name} in the committee, at the mean of the others' priors" for name in unknown]

    def _shares(self, task: Task, members: Members) -> tuple[float, ...]:
        pool = self.config.recovered_from(task.backbone)
        chosen = self._committee(task, pool, members[0][1])
        weights = weighed(chosen, self.config.prior, self.config.recover.prior_temperature)
        return tuple(weights.get(name, 0.0) for name in pool)

    def _committee(self, task: Task, pool: Sequence[str], number: int) -> Sequence[str]:
        recover = self.config.recover
        if recover.committees:
            return recover.committees[number % len(recover.committees)]
        draws = seeds.counter(task.seed_for("committee"), number)
        return [pool[place] for place in draws.choice(len(pool), recover.committee, replace=False)]

    @property
    def _votes(self) -> Sequence[float]:
        names = [teacher.ref.backbone for teacher in self._labellers]
        return list(weighed(names, self.config.prior, self.config.relabel.prior_temperature).values())


def weighed(names: Sequence[str], prior: Mapping[str, float], temperature: float) -> dict[str, float]:
    """softmax(prior / temperature) over the names, 1 in all; alike where there are no priors."""
    mean = sum(prior.values()) / max(1, len(prior))
    powers = {name: math.exp((prior.get(name, mean) - mean) / temperature) for name in names}
    return {name: power / sum(powers.values()) for name, power in powers.items()}
