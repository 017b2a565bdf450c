"""MTT as a condenser. What is followed where paper and code differ: see the package; its gradients: see `exact`."""

from pathlib import Path
from typing import ClassVar

from bench.condensation import MethodConfig
from bench.recipes import Recipe, RecipeBook, Setting
from bench_matching.exact import ExactConfig, ExactMatcher

RECIPES = RecipeBook.load(Path(__file__).with_name("mtt.toml"))


class MTTConfig(ExactConfig):
    """See `ExactConfig`."""


class MTT(ExactMatcher[MTTConfig]):
    """Matches the weights that students reach on synthetic images to those that experts reach on real ones.

    One iteration is one update of all images, over `steps` inner steps of a student.
    """

    Config: ClassVar[type[MethodConfig]] = MTTConfig

    @classmethod
    def recipe(cls, setting: Setting) -> Recipe:
        """The paper's hyper-parameters for the dataset and the images per class."""
        return RECIPES.pick(setting)

    @classmethod
    def protocol(cls, setting: Setting) -> str:
        """Hard labels, DSA, and the learned step size as learning rate."""
        return "mtt"
