"""`bench doctor`: what this machine has, and what is missing."""

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from tabulate import tabulate

from bench.cli.options import cache_folder, data_root_option, plugin_option, runs_option, table_or_json_option
from bench.errors import UsageError
from bench.extensions.registry import Registry

GIB = 2**30
LOW_DISK = 5 * GIB  # Tiny-ImageNet decoded takes 1.3 GiB, a squeezed ResNet-18 43 MiB, a run's images less


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        state: "ok", "note" (works, but something is slower or absent) or "missing" (something needed).
        remedy: what to do about it; empty where nothing needs doing.
    """

    what: str
    found: str
    state: str = "ok"
    remedy: str = ""


@click.command("doctor")
@table_or_json_option
@data_root_option
@runs_option
@plugin_option
def command(form: str, data_root: Path, runs: Path, plugins: tuple[str, ...]) -> None:
    """Say what this machine has, and what is missing, each problem with its remedy.

    Exit status 0, or 1 where something needed is missing.
    """
    registry, software = Registry(plugins), list(_software())
    findings = [*software, *_places(runs), *_settings(), *_plugins(registry)]
    if all(each.state != "missing" for each in software):
        findings += [*_hardware(), *_datasets(registry, data_root)]
    click.echo(json.dumps([asdict(each) for each in findings], indent=2) if form == "json" else _table(findings))
    raise SystemExit(1 if any(each.state == "missing" for each in findings) else 0)


def _table(findings: list[Finding]) -> str:
    rows = [(each.what, "" if each.state == "ok" else each.state, each.found) for each in findings]
    remedies = [f"{each.what}: {each.remedy}" for each in findings if each.remedy]
    return "\n".join([tabulate(rows, tablefmt="plain"), "", *(remedies or ["nothing is missing"])])


def _software() -> Iterator[Finding]:
    recent = sys.version_info >= (3, 11)
    yield Finding("python", platform.python_version(), *(() if recent else ("missing", "use Python 3.11 or newer")))
    for package, module in (("condensation-bench", "bench"), ("torch", "torch"), ("torchvision", "torchvision")):
        try:
            import_module(module)
            yield Finding(package, version(package))
        except (ImportError, PackageNotFoundError) as error:
            yield Finding(package, f"cannot be used: {error}", "missing", f"pip install --force-reinstall {package}")


def _hardware() -> Iterator[Finding]:
    import torch

    from bench.hardware.devices import processor

    yield Finding("processor", f"{processor()}, {os.cpu_count()} cores")
    yield Finding("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB:.1f} GiB")
    if not torch.cuda.is_available():
        yield Finding("cuda", "no device", "note", "runs take the CPU (--device cpu)")
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        yield Finding(f"cuda:{index}", f"{about.name}, {about.total_memory / GIB:.0f} GiB")
    yield _bf16()
    yield _compiler()


def _bf16() -> Finding:
    """Where --precision auto takes bf16: as `bench.hardware.devices.choose_precision` decides it."""
    from bench.hardware.devices import choose_device, choose_precision

    device = choose_device("auto")
    if choose_precision("auto", device) == "bf16":
        return Finding("bf16", f"multiplied by the {device.type}'s own units")
    return Finding("bf16", f"no units for it on this {device.type}", "note", "--precision auto takes fp32 here")


def _compiler() -> Finding:
    """torch.compile on a CPU writes C++ and needs a compiler for it: the one in CXX, else g++ (clang++ on a Mac)."""
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if path := shutil.which(name):
        return Finding("c++ compiler", path)
    remedy = f"install {name} or name another in CXX: without it torch.compile fails on the CPU"
    return Finding("c++ compiler", f"no {name} on the path", "note", remedy)


def _places(runs: Path) -> Iterator[Finding]:
    for what, folder, option in (("runs", runs, "--runs"), ("cache", cache_folder(), "BENCH_CACHE")):
        there = _existing(folder.absolute())
        free = shutil.disk_usage(there).free
        text = f"{folder}, {free / GIB:.1f} GiB free"
        if not os.access(there, os.W_OK):
            yield Finding(what, text, "missing", f"{there} cannot be written; name another folder with {option}")
        elif free < LOW_DISK:
            yield Finding(what, text, "note", f"little room; name another folder with {option}")
        else:
            yield Finding(what, text)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _settings() -> Iterator[Finding]:
    for name in ("BENCH_DATA", "BENCH_RUNS", "BENCH_CACHE", "CXX"):
        yield Finding(name, os.environ.get(name, "not set"))


def _plugins(registry: Registry) -> Iterator[Finding]:
    loaded = sorted({name for name, _ in registry.manager.list_name_plugin()})
    yield Finding("plugins", ", ".join(loaded) or "none")
    for broken in registry.broken:
        remedy = "mend it, or uninstall it; the others work without it"
        yield Finding(f"plugin {broken.plugin}", broken.reason, "missing", remedy)


def _datasets(registry: Registry, data_root: Path) -> Iterator[Finding]:
    from bench.data.finding import find_source, load_card

    for name in registry.names("dataset"):
        try:
            found = find_source(registry, name, load_card(registry, name), data_root)
        except UsageError as error:
            yield Finding(f"dataset {name}", "not there", "note", str(error))
        else:
            yield Finding(f"dataset {name}", str(found))
