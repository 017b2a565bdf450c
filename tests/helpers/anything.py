"""An order that says nothing, for children that play a script."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench.running.executors.orders import Order


@dataclass(frozen=True)
class _Anything(Order):
    work = "anything"


ANYTHING = _Anything(Path(os.devnull), (), "cpu", "fp32")
