"""What answers without torch and pandas, whose imports take longer than all the rest of the answer."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.commands.list import LISTS

MEASURED = next(Path("reports/bench_reports/measured").glob("*/record.json")).parent
ASK = """
import sys
from bench.cli import main
sys.argv = ["bench", *sys.argv[1:]]
try:
    main()
finally:
    print({"torch", "pandas"} & {*sys.modules} or "neither", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the record of one run, called "run"."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(MEASURED, folder / "run")
    return folder


@pytest.mark.parametrize(
    ("typed", "answer", "status"),
    [
        ("--help", "Usage: bench", 0),
        ("run --help", "Usage: bench run", 0),
        ("speed --help", "--table", 0),
        *((f"list {what} --runs RUNS", "name" if what != "runs" else "protocol", 0) for what in LISTS),
        ("report --runs RUNS --no-claims", "method", 0),
        ("show run --runs RUNS", "run run", 0),
        ("run -m srel -d digits", "did you mean 'sre2l'?", 2),
        ("run -m sre2l -d digts", "did you mean 'digits'?", 2),
        ("run -m sre2l -d digits --protocol papr", "did you mean 'paper'?", 2),
        ("run -m sre2l -d digits --format tabel", "did you mean 'table'?", 2),
        ("evaluate RUNS -d digts --eval-backbone convnet3", "did you mean 'digits'?", 2),
        ("speed -m sre2l --backbone resnt18", "did you mean 'resnet18'?", 2),
        ("report --runs RUNS --format tabel", "did you mean 'table'?", 2),
    ],
)
def test_an_answer_needs_neither_torch_nor_pandas(typed: str, answer: str, status: int, runs: Path) -> None:
    words = [str(runs) if word == "RUNS" else word for word in typed.split()]
    ended = subprocess.run([sys.executable, "-c", ASK, *words], capture_output=True, text=True, check=False)
    assert answer in ended.stdout + ended.stderr
    assert ended.returncode == status
    assert ended.stderr.splitlines()[-1] == "neither"
