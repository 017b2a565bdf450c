"""A scene of several commands side by side: shards of one plan, of which one is killed, or its child, or both."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

from tests.soak.commands import Ended
from tests.soak.grounds import Ground, Hit, Outcome, as_it_was, is_killed, outcome
from tests.soak.trap import Call, Strike, Trap

SHARDS = 3
PLAN = "jobs.jsonl"


class ShardsGround(Ground):
    """A plan, and its shards over one folder. Who calls at the moment of a strike dies; in time they take turns."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        super().__init__(words, folder)
        planned = self.command.again("--plan-only", "-o", PLAN)
        assert planned.status == 0, planned.err
        work, shares = ["work", PLAN, "--device", "cpu", "--format", "json"], range(1, SHARDS + 1)
        self._shards = [replace(self.command, words=[*work, "--shard", f"{n}/{SHARDS}"], name=f"{n}-") for n in shares]
        self.command = self._shards[0]

    def traced(self) -> tuple[Ended, Sequence[Call], float]:
        """As of `Ground`."""
        trap, began = self._trap(), monotonic()
        return self._together(self._side_by_side(trap)), trap.calls(), monotonic() - began

    def struck(self, strike: Strike) -> Hit:
        """As of `Ground`; whoever was not struck goes on to its end."""
        trap = self._trap(strike)
        ends = self._side_by_side(trap)
        hit = [ended for ended in ends if is_killed(ended, strike)]
        others = self._together([ended for ended in ends if ended not in hit])
        if not hit:
            return Hit(others, None)
        known = strike if isinstance(strike.moment, float) else as_it_was(strike, trap.calls())
        return Hit(hit[0], known, None if strike.victim == "child" else others)  # its failed row is theirs, too

    def again(self, *more: str) -> Ended:
        """As of `Ground`: the same commands."""
        return self._together(self._side_by_side(None, *more))

    def outcome(self, ended: Ended) -> Outcome:
        """As of `Ground`."""
        return outcome(self.folder, ended.out)

    def _trap(self, strike: Strike | None = None) -> Trap:
        self.command.notes.unlink(missing_ok=True)
        return Trap(self.command.notes, strike)

    def _side_by_side(self, trap: Trap | None, *more: str) -> list[Ended]:
        shards = [replace(each, words=[*each.words, *more]) for each in self._shards]
        begun = [(each, each.begun(trap)) for each in shards]
        if trap and trap.strike and isinstance(trap.strike.moment, float):
            command, (pid, alive) = begun[round(1000 * trap.strike.moment) % SHARDS]
            command.kill_later(trap.strike, alive, pid)
        return [command.ended(pid, alive) for command, (pid, alive) in begun]

    @staticmethod
    def _together(ends: Sequence[Ended]) -> Ended:
        """As if one command had said it all, each row once."""
        rows = {json.dumps(row, sort_keys=True): row for ended in ends for row in json.loads(ended.out or "[]")}
        status = max((abs(ended.status) for ended in ends), default=0)
        return Ended(status, json.dumps(list(rows.values())), "".join(ended.err for ended in ends))
