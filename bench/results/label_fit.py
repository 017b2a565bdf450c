"""How well the labels of a set fit the dataset's classes, as a run notes it; `bench.sets.label_fit` measures it."""

from bench.storage.artefacts import Part
from bench.storage.shapes import Number

NOTE = "labels_fit"  # under which a run records it
CLEAR = 4.0  # standard deviations; in 20 draws of five kinds of unrelated images the most was 3.6
UNLIKELY = 3.0  # standard deviations: right labels of images that show their classes lie at 4 and above


class LabelFit(Part):
    """In standard deviations over chance: labels as `given`, and `in_some_order` of the classes.

    Attributes:
        turned: "transposed", say: what the images seem to be, where labels fit clearly once that is undone; None
            where nothing of the kind is seen.
        undone: how well they fit then.
    """

    given: Number
    in_some_order: Number
    turned: str | None = None
    undone: Number | None = None

    @property
    def doubtful(self) -> bool:
        """Whether the images show the dataset's classes, and the labels do not say which, or only of turned images."""
        return self.turned is not None or (self.in_some_order > CLEAR and self.given < UNLIKELY)

    def __str__(self) -> str:
        if self.turned is not None:
            return (
                f"the images seem to be {self.turned}: labels fit the dataset's classes by {self.given:.1f} standard "
                f"deviations over chance, and once that is undone by {self.undone:.1f}"
            )
        return (
            f"labels fit the dataset's classes no better than chance would ({self.given:.1f} standard deviations), "
            f"and in another order they would ({self.in_some_order:.1f}); is the class order right?"
        )
