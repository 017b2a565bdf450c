"""Reports that are a folder of files, as a site: what their formats are given, and what they make."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.reporting import ReportFormat, Row, format_of
from bench.reporting.claimed import beside_claims
from bench.reporting.run_folders import RunFolder as RunFolder

if TYPE_CHECKING:
    from bench.extensions.registry import Registry


@dataclass(frozen=True)
class File:
    """A file of a report.

    Attributes:
        name: relative to the report's folder, with `/` between folders.
        content: its text, or the file that it is a copy of.
    """

    name: str
    content: str | Path


class FolderFormat(ReportFormat):
    """A form that may be a folder of files, too.

    You must write `files` besides what `ReportFormat` asks for; `render` is the form in one file, which says all that
    one file can say. A report goes into a folder where the user names one: `-o site/`, or any name that does not end
    in the format's suffix.
    """

    @abstractmethod
    def files(self, rows: Sequence[Row], runs: Mapping[str, RunFolder], *, claims: bool, means: bool) -> Iterator[File]:
        """The files, each once. That which leads to the others comes last, so that it never leads nowhere.

        Args:
            rows: as of `render`, of single runs.
            runs: the folders of the runs of these rows by name. Some may be missing.
            claims: as of `render`.
            means: whether what compares runs compares means over seeds (`statistics.pooling.over_seeds`).
        """


def report_files(
    registry: "Registry", rows: Sequence[Row], form: str, runs: Mapping[str, RunFolder], *, claims: bool, means: bool
) -> Iterator[File]:
    """The rows in a registered format of folders, each with the published number for its cell, where there is one.

    Raises:
        UsageError: an unknown or unavailable format, one that is no folder, or claims that cannot be read.
    """
    format_ = format_of(registry, form)
    if not isinstance(format_, FolderFormat):
        raise UsageError(f"the format {form!r} is one file and no folder; name one, as report{format_.suffix}")
    return format_.files(beside_claims(registry, rows, claims=claims), runs, claims=claims, means=means)
