"""What every store of stages is held to (`bench.storage.shared.stages.StageStore`)."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ears import Ear as Ear

from bench.errors import RunFailure
from bench.storage.shared.leases import LockHeld
from bench.storage.shared.stages import Made, StageKey, StageResult, StageStore

CPU = torch.device("cpu")
KEY = StageKey("teacher", 1, {"seed": 0, "recipe": {"lr": 0.2}})
OTHERS = [
    StageKey("experts", 1, KEY.parameters),
    StageKey("teacher", 2, KEY.parameters),
    StageKey("teacher", 1, {**KEY.parameters, "recipe": {"lr": 0.1}}),
]


def made_with(lr: float = 0.2) -> Made:
    return Made({"weights": torch.arange(4.0) * lr}, {"top1": 59.5})


def refuse(folder: Path) -> Made:
    raise AssertionError("made although it is there")


class StoreConformance:
    """Subclass it and write `store`."""

    def store(self, folder: Path, ear: Ear) -> StageStore:
        """One that keeps its stages below the folder, as another process would open it."""
        raise NotImplementedError

    def test_a_result_is_found_as_it_was_made_with_its_cost(self, tmp_path: Path) -> None:
        first, second = (self.store(tmp_path, Ear()) for _ in range(2))
        assert first.read(KEY.kind, KEY.hash) is None and first.find(KEY) is None
        made = first.get_or_make(KEY, lambda folder: made_with(), CPU)
        assert not made.cached and made.cost.seconds > 0 and not first.making
        for found in (second.get_or_make(KEY, refuse, CPU), second.find(KEY), second.read(KEY.kind, KEY.hash)):
            assert found is not None and found.cached
            assert torch.equal(found.tensors["weights"], torch.arange(4.0) * 0.2) and found.facts == {"top1": 59.5}
            assert (found.cost, found.hash) == (made.cost, KEY.hash)
        assert second.file(KEY.kind, KEY.hash).is_file()

    @pytest.mark.parametrize("other", OTHERS)
    def test_every_part_of_the_key_tells_stages_apart(self, tmp_path: Path, other: StageKey) -> None:
        store = self.store(tmp_path, Ear())
        store.get_or_make(KEY, lambda folder: made_with(), CPU)
        assert not store.get_or_make(other, lambda folder: made_with(0.1), CPU).cached
        assert store.get_or_make(KEY, refuse, CPU).tensors["weights"][1] == torch.tensor(0.2)

    def test_what_was_stopped_goes_on_from_its_folder_and_is_no_result(self, tmp_path: Path) -> None:
        folders: list[Path] = []

        def stopped(folder: Path) -> Made:
            (folder / "epoch").write_text("7")
            raise KeyboardInterrupt

        def continued(folder: Path) -> Made:
            folders.append(folder)
            assert (folder / "epoch").read_text() == "7"
            return made_with()

        with pytest.raises(KeyboardInterrupt):
            self.store(tmp_path, Ear()).get_or_make(KEY, stopped, CPU)
        store = self.store(tmp_path, Ear())
        assert store.read(KEY.kind, KEY.hash) is None
        assert not store.get_or_make(KEY, continued, CPU).cached
        assert not folders[0].exists()

    def test_what_could_not_be_read_back_is_not_kept(self, tmp_path: Path) -> None:
        store = self.store(tmp_path, Ear())
        with pytest.raises(RunFailure, match=r"teacher\.top1 is nan"):
            store.get_or_make(KEY, lambda folder: Made({}, {"top1": float("nan")}), CPU)
        assert store.read(KEY.kind, KEY.hash) is None

    def test_a_corrupt_result_is_made_again_with_a_warning(self, tmp_path: Path) -> None:
        ear = Ear()
        store = self.store(tmp_path, ear)
        store.get_or_make(KEY, lambda folder: made_with(), CPU)
        path = store.file(KEY.kind, KEY.hash)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
        assert store.read(KEY.kind, KEY.hash) is None and path.read_bytes() == content, "reading changes nothing"
        assert not store.get_or_make(KEY, lambda folder: made_with(), CPU).cached
        assert len(ear.heard) == 1 and "made again" in ear.heard[0]

    def test_while_one_makes_a_stage_others_wait_or_are_told(self, tmp_path: Path) -> None:
        began, may_end, found = threading.Event(), threading.Event(), list[StageResult]()

        def slowly(folder: Path) -> Made:
            began.set()
            assert may_end.wait(60)
            return made_with()

        maker = _in_background(lambda: self.store(tmp_path, Ear()).get_or_make(KEY, slowly, CPU), found)
        assert began.wait(60)
        with pytest.raises(LockHeld, match="in use by process"):
            self.store(tmp_path, Ear()).get_or_make(KEY, refuse, CPU, wait=False)
        ear = Ear()
        waiting = _in_background(lambda: self.store(tmp_path, ear).get_or_make(KEY, refuse, CPU), found)
        _until(lambda: bool(ear.heard))
        assert "waiting for process" in ear.heard[0]
        may_end.set()
        for each in (maker, waiting):
            each.join(60)
        assert sorted(each.cached for each in found) == [False, True]

    def test_a_stage_within_another_is_no_cost_of_that_one(self, tmp_path: Path) -> None:
        store, inner = self.store(tmp_path, Ear()), list[StageResult]()

        def lasting(folder: Path) -> Made:
            time.sleep(0.2)
            return made_with()

        def outer(folder: Path) -> Made:
            inner.append(store.get_or_make(OTHERS[0], lasting, CPU))
            assert store.making
            return made_with()

        began = time.perf_counter()
        cost = store.get_or_make(KEY, outer, CPU).cost.seconds
        assert inner[0].cost.seconds >= 0.2
        assert inner[0].cost.seconds + cost <= store.spent_s <= time.perf_counter() - began, "each second once"


def _in_background(work: Callable[[], StageResult], results: list[StageResult]) -> threading.Thread:
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    return thread


def _until(there: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.01)
