"""`bench new-plugin`: a complete, passing plugin to start from."""

from pathlib import Path

import click

from bench.cli.folders import LocalPath
from bench.storage.names import unknown


@click.command("new-plugin")
@click.argument("name")
@click.option("--kind", default="method", show_default=True, help="What it offers: method or backbone.")
@click.option(
    "-o",
    "--output",
    type=LocalPath(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder to put the plugin's folder in [default: here].",
)
def command(name: str, kind: str, output: Path) -> None:
    """Write a plugin called NAME: package, entry point, tests and README, which installs and passes as it is."""
    from bench.extensions.registry import Registry
    from bench.extensions.scaffolding import KINDS, Names, write_plugin

    if kind not in KINDS:
        raise unknown("kind of plugin", kind, KINDS)
    names, registry = Names(name), Registry()
    if registry.has(kind, name):
        plugin = registry.find(kind, name).plugin
        raise click.UsageError(
            f"the plugin {plugin!r} offers a {kind} {name!r} already; two cannot be installed together"
        )
    folder = write_plugin(names, kind, output)
    click.echo(folder)
    click.echo(f'wrote {folder}; now: cd {folder} && pip install -e ".[test]" && pytest', err=True)
