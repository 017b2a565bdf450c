"""What a user may choose of arithmetic and of compiling, as words: `bench.hardware.devices`, `bench.compiling`."""

from typing import Literal

Precision = Literal["fp32", "tf32", "bf16"]
Compile = Literal["auto", "possible", "always", "never"]
