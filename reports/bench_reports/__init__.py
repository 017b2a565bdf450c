"""The built-in plugin for reports: forms of a comparison table, and the published numbers they are held against."""

from pathlib import Path

from bench.hookspecs import Offer, hookimpl

FORMATS = {
    "table": "For a terminal, as wide as it is.",
    "json": "A list of objects, one a table row, with every field of it.",
    "csv": "One line a row, nested values as dotted columns.",
    "markdown": "Pipe tables for a README or an issue.",
    "latex": "Tables with booktabs rules for a paper.",
    "svg": "A figure.",
}
MODULES = {"table": "table", "json": "data", "csv": "data", "markdown": "markdown", "latex": "latex", "svg": "svg"}


@hookimpl
def bench_report_formats() -> list[Offer]:
    """Tables, data and figures."""
    return [Offer(name, f"bench_reports.{MODULES[name]}:{name.upper()}", summary) for name, summary in FORMATS.items()]


@hookimpl
def bench_speed_tables() -> list[Offer]:
    """Tables of papers that compare costs."""
    summary = "SRe2L paper, Table 1: time and memory of a step on ConvNet-4, ResNet-18 and ResNet-50"
    return [Offer("sre2l-table-1", Path(__file__).with_name("sre2l-table-1.toml"), summary)]


@hookimpl
def bench_claims() -> list[Offer]:
    """Numbers from papers, repositories and issues."""
    return [Offer("published", Path(__file__).with_name("claims.csv"), "880 published numbers with their sources.")]
