"""Decoding against PIL, one image after the other; the cache against decoding; records and reports against JSON."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from racing import Race
from torch import Tensor

from bench.conformance.formats import sample_record
from bench.data.cards import DatasetCard, SourceCard, SplitName
from bench.data.datasets import Reader, Source
from bench.data.decoding import DecodedForm, Decoder
from bench.data.image_cache import ImageCache
from bench.extensions.registry import Registry
from bench.progress import Silent
from bench.reporting import Row, report
from bench.results import records
from bench.results import rows as table
from bench.results.records import Record
from bench.results.spec import MethodChoice, RunSpec
from bench.storage.files import digest

SCORE: dict[str, Any] = {"top5": None, "best_top1": None, "epochs": 7, "seconds": 1.5}
VIEW = DecodedForm(channels=3, resolution=64, resize=64)


class InMemory(Reader):
    """JPEG files that lie in memory."""

    def __init__(self, files: Sequence[bytes]) -> None:
        self.files = files

    def looked_for(self, card: DatasetCard, source: SourceCard) -> str:
        return "nothing"

    def locate(self, card: DatasetCard, source: SourceCard, root: Path) -> Source | None:
        return None

    def labels(self, source: Source, split: SplitName) -> Tensor:
        return torch.zeros(len(self.files), dtype=torch.int64)

    def encoded(self, source: Source, split: SplitName, indices: Sequence[int]) -> Iterator[tuple[str, Any]]:
        for index in indices:
            yield str(index), self.files[index]


def jpegs(count: int) -> list[bytes]:
    draws, files = np.random.default_rng(0), []
    for _ in range(min(count, 50)):
        stream = io.BytesIO()
        coarse = Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        coarse.resize((64, 64)).save(stream, "JPEG", quality=90)
        files.append(stream.getvalue())
    return [files[index % len(files)] for index in range(count)]


def by_pil(files: Sequence[bytes]) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(Image.open(io.BytesIO(file)).convert("RGB"))) for file in files])


@pytest.mark.parametrize("competitor", ["decoded into the cache", "opened from the cache"])
def test_images(race: Race, competitor: str, tmp_path: Path) -> None:
    files = jpegs(20_000 if race.in_earnest else 20)
    reader = InMemory(files)
    decoder = Decoder(reader, cast(Source, None), "train", VIEW)
    labels = reader.labels(cast(Source, None), "train")
    fresh = iter(range(99))

    def decode() -> object:
        return ImageCache(tmp_path / str(next(fresh)), Silent()).open(decoder, labels)

    kept = ImageCache(tmp_path / "kept", Silent())
    kept.open(decoder, labels)
    steps = {"decoded into the cache": decode, "opened from the cache": lambda: kept.open(decoder, labels)}
    race.run("20,000 JPEG images, 64 px", competitor, steps[competitor], lambda: by_pil(files), rounds=2)


def some_record(seed: int) -> Record:
    """Of two evaluations; every second one is the control of the one before it."""
    choice = MethodChoice("random", 1, {}, "defaults", "its own", (), {"lr": [1, seed % 7]}, "coresets", "1.0")
    classes = tuple(f"n{index:08}" for index in range(200))
    spec = RunSpec(choice, "d", "d", "0" * 32, classes, 200, 10, "convnet3", seed, "paper", "cpu", "cpu", "fp32")
    scores = [{**SCORE, "top1": 40.0 + (7 * seed + 3 * number) % 11, "seed": number} for number in range(3)]
    outcome = {"backbone": "convnet3", "note": "", "status": "done", "reason": None, "scores": scores}
    hard = {"protocol": "hard", "protocol_id": "hard@1", "asked": ["hard"], "label_kind": "hard"}
    soft = {"protocol": "soft", "protocol_id": "soft@1", "asked": ["soft"], "label_kind": "online"}
    evaluations = {
        "hard-convnet3": {**outcome, **hard, "teacher_backbone": None},
        "soft-convnet3": {**outcome, **soft, "teacher_backbone": "convnet3"},
    }
    controls = dict.fromkeys(evaluations, replace(spec, seed=seed + 1).name) if seed % 2 == 0 else {}
    return sample_record(spec, {"set_bytes": 640}, evaluations, {"device": "cpu"}, controls)


def written(runs: Path, count: int) -> Path:
    """A folder of so many runs, each with a record of its own; none is flushed to the device, which takes minutes."""
    for seed in range(count):
        content = some_record(seed).to_json()
        (runs / f"{seed:05}").mkdir(parents=True)
        (runs / f"{seed:05}" / "record.json").write_text(json.dumps({**content, "checksum": digest(content)}))
    return runs


@pytest.mark.parametrize("competitor", ["read and verified", "as rows", "as a table", "as JSON", "with their scores"])
def test_records(race: Race, competitor: str, tmp_path: Path) -> None:
    runs, registry = written(tmp_path / "runs", 10_000 if race.in_earnest else 10), Registry()

    def parsed() -> object:
        return [json.loads(path.read_text()) for path in sorted(runs.glob("*/record.json"))]

    def rows() -> list[Row]:
        return table.rows(records.load_all(runs, Silent()))

    steps = {
        "read and verified": lambda: list(records.load_all(runs, Silent())),
        "as rows": rows,
        "as a table": lambda: report(registry, rows(), "table", claims=True),
        "as JSON": lambda: report(registry, rows(), "json", claims=True),
        "with their scores": lambda: registry.load("format", "table").render_scores(rows(), claims=True),
    }
    race.run("10,000 records", competitor, steps[competitor], parsed, rounds=2)
