"""The images of a set that lies at a path."""

from pathlib import Path
from typing import ClassVar, Literal

from bench.condensation import Condenser, Images, MethodConfig, PixelFormat, Task, Unit
from bench.condensed import CondensedSet, check_fits
from bench.importing import read
from bench.labels import Labels
from bench.plugins import Registry


class ImportedConfig(MethodConfig):
    """Which set.

    Attributes:
        path: the folder with its manifest.json.
        content: hash of its files, so that another content is another run.
        made_by: the method that its manifest names.
        pixels: "float32" for sets that 8 bits cannot hold.
    """

    path: str
    content: str
    made_by: str = "imported"
    pixels: Literal["uint8", "float32"] = "uint8"


class Imported(Condenser[ImportedConfig]):
    """Reads a set; what it cost to make is not known here."""

    Config: ClassVar[type[MethodConfig]] = ImportedConfig
    made_here: ClassVar[bool] = False

    @property
    def pixel_format(self) -> PixelFormat:
        """As the set has them."""
        return self.config.pixels

    def synthesize(self, task: Task, unit: Unit) -> Images:
        """The set's images."""
        return self._set(task).images

    def label(self, task: Task, images: Images) -> Labels:
        """The set's labels."""
        return self._set(task).labels

    def _set(self, task: Task) -> CondensedSet:
        found = read(Path(self.config.path), task.dataset, Registry())
        check_fits(found, task.dataset)
        return found
