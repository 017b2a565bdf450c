"""What tests of plugins share."""

import sys
from pathlib import Path

import pytest
from plugging import Install

from bench.extensions import registry as plugins


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a module as a plugin: a distribution with an entry point, found as pip would leave it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(module: str, source: str) -> Path:
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-4.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 4.2\n")
        (metadata / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{module} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return tmp_path / f"{module}.py"

    return put
