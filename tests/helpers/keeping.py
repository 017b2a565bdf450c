"""Sets as a run keeps them, for tests that need no run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.condensation import PixelFormat
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.sets.pixel_formats import StoredPixels


def keep(
    folder: Path, condensed: CondensedSet, form: PixelFormat, about: Mapping[str, Any], teachers: Sequence[Path] = ()
) -> None:
    """Writes a set whose pixels are in the values that the form holds."""
    sets.save(folder, condensed, StoredPixels.of(condensed.images.pixels, form), about, teachers)
