"""An iteration of DM with as many real images at a time as stay in a processor's cache, against all at once."""

from dataclasses import replace
from pathlib import Path

import pytest
from racing import Race, Step

from bench.compiling import missing_compiler
from bench.hardware.choices import Precision
from bench.testing import tiny_dataset, tiny_task
from bench_matching import features
from bench_matching.features import FastMatching
from bench_matching.reals import PIXELS, Reals, start

DSA = "color_crop_cutout_flip_scale_rotate"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_iteration(race: Race, precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = 256 if race.in_earnest else 4
    dataset = tiny_dataset(classes=10, per_class=real, resolution=32)
    task = replace(tiny_task(tmp_path, dataset=dataset, ipc=1, backbone="convnet3"), precision=precision)
    if race.in_earnest and missing_compiler(task.device) is None:
        task = replace(task, compile="always")
    images = start(task, "real")

    def iteration(held: int) -> Step:
        monkeypatch.setattr(features, "BYTES_TOGETHER", {"cpu": held})
        matching = FastMatching(task, Reals(task), real, DSA)
        matching.ready(1000)
        return lambda: matching.gradient(images, 0)

    race.run(
        "DM's iteration, ConvNet-3, 32 px, 10 x 256 real images",
        f"in parts, {precision}",
        iteration(features.BYTES_TOGETHER["cpu"]),
        iteration(4 * PIXELS),
        rounds=5,
    )
