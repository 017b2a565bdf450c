"""Scenes whose runs and stages lie in a store: the command is killed, or the store's server."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tests.soak.commands import Ended
from tests.soak.grounds import Ground, Hit, Outcome, outcome
from tests.soak.server import Server
from tests.soak.trap import Strike, Victim

DOWN = 1.5  # seconds without a server


class StoreGround(Ground):
    """An S3 server of its own. A command after a kill is typed on a machine that has seen nothing of the run."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        super().__init__(words, folder)
        self.server = Server(folder.with_name(f"{folder.name}.log"))
        environment = {
            "HOME": str(folder / "home"),
            "BENCH_RUNS": "s3://bucket/runs",
            "BENCH_CACHE": "s3://bucket/cache",
            "AWS_ENDPOINT_URL": self.server.address,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.command = replace(self.command, environment=environment)

    def struck(self, strike: Strike) -> Hit:
        """As of `Ground`."""
        hit = super().struck(strike)
        shutil.rmtree(self.folder / "home", ignore_errors=True)
        return hit

    def outcome(self, ended: Ended) -> Outcome:
        """What is in the store."""
        return outcome(self.server.content(self.folder / "there"), ended.out)

    def close(self) -> None:
        """As of `Ground`."""
        self.server.kill()
        self.server.log.unlink()


class ServerGround(StoreGround):
    """The same, of which the server is killed. The command asks again, and is typed once."""

    victims: ClassVar[Sequence[Victim]] = ("server",)
    at_calls = False
    in_a_row = 1

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        super().__init__(words, folder)
        self._kills = 0
        self.command = replace(self.command, killer=self._kill)

    def struck(self, strike: Strike) -> Hit:
        """The command to its end."""
        self._kills = 0
        ended, _ = self.command.struck(strike)
        return Hit(ended, strike if self._kills else None)

    def _kill(self, victim: Victim, command: int) -> None:
        self.server.kill()
        self._kills += 1
        time.sleep(DOWN)
        self.server.start()
