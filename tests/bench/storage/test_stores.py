"""The stores of stages that there are, each held to the contract of all."""

from pathlib import Path

from store_conformance import Ear, StoreConformance

from bench.storage.stages import StageStore


class TestStageStore(StoreConformance):
    def store(self, folder: Path, ear: Ear) -> StageStore:
        return StageStore(folder, ear)
