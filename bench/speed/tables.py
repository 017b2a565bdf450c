"""Named tables of rows to measure, as TOML files that plugins offer (hook `bench_speed_tables`).

name = "sre2l-table-1"
title = "SRe2L, Table 1"
source = "SRe2L paper Table 1 (RTX 4090, batch 200)"   # as the claims have it, whose numbers stand beside
dataset = "tiny-imagenet"                              # gives resolution, channels and classes

[[rows]]
method = "sre2l"
backbone = "resnet18"
batch_size = 200             # where the method has such a knob
published_as = "ResNet-18"   # where the source calls the backbone otherwise
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from bench.storage.users_toml import read_toml


class TableRow(BaseModel):
    """One row; it becomes one for each engine of its method."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    backbone: str
    batch_size: int | None = Field(default=None, ge=1)
    published_as: str | None = None


class SpeedTable(BaseModel):
    """See the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    source: str
    dataset: str
    rows: tuple[TableRow, ...] = Field(min_length=1)


def read_table(path: Path) -> SpeedTable:
    """The table in a TOML file. Raises UsageError as `read_toml`."""
    return read_toml(SpeedTable, path, "speed table")
