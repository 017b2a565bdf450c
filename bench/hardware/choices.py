"""The choices of arithmetic (`bench.hardware.devices`) and of compiling (`bench.compiling`)."""

from typing import Literal

Precision = Literal["fp32", "tf32", "bf16"]
Compile = Literal["auto", "possible", "always", "never"]
