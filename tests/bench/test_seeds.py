"""Seeds come from names and positions, not from order (DESIGN section 9, promise 9)."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import seeds


@given(st.lists(st.text(max_size=5) | st.integers(), min_size=1, max_size=4))
def test_a_seed_is_a_function_of_its_names(names: list[str | int]) -> None:
    assert seeds.derive(*names) == seeds.derive(*names)
    assert 0 <= seeds.derive(*names) < 2**63


def test_names_are_kept_apart() -> None:
    assert seeds.derive("ab", "c") != seeds.derive("a", "bc")
    assert seeds.derive(1, 2) != seeds.derive(2, 1)


def test_seeds_do_not_depend_on_the_hash_seed() -> None:
    """Strings have other hashes in every process, and in this one than with the seed that the other is given."""
    script = "from bench import seeds; print(hash('recover'), seeds.derive('recover', 3))"
    other = {**os.environ, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    ended = subprocess.run([sys.executable, "-c", script], env=other, capture_output=True, text=True, check=True)
    hashed, derived = map(int, ended.stdout.split())
    assert hashed != hash("recover")
    assert derived == seeds.derive("recover", 3)


def test_a_position_needs_no_position_before_it() -> None:
    walked = [seeds.counter(5, epoch, batch).random(3) for epoch in range(2) for batch in range(3)]
    assert np.array_equal(walked[4], seeds.counter(5, 1, 1).random(3))
    assert len({tuple(values) for values in walked}) == len(walked)


def test_streams_do_not_run_into_their_neighbours() -> None:
    first, second = seeds.counter(5, 0).random(10_000), seeds.counter(5, 1).random(10_000)
    assert not set(first) & set(second)


def test_a_position_has_three_coordinates() -> None:
    with pytest.raises(ValueError, match="three"):
        seeds.counter(0, 1, 2, 3, 4)


def test_generators_leave_the_global_stream_alone() -> None:
    before = torch.random.get_rng_state()
    torch.rand(3, generator=seeds.generator("x"))
    assert torch.equal(before, torch.random.get_rng_state())


def test_draws_on_the_cpu_are_those_of_the_seed_and_no_other_generator_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`torch.manual_seed` seeds every GPU as well, now or once CUDA starts, and `fork_rng` keeps none of that."""
    monkeypatch.setattr("torch.cuda.manual_seed_all", lambda seed: pytest.fail("the GPUs were seeded"))
    before = torch.random.get_rng_state()
    with seeds.cpu_draws(5):
        drawn = torch.rand(3)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(before, torch.random.get_rng_state())


def hashed(seed: str) -> dict[str, str]:
    """The environment with another seed of Python's own hashes."""
    return {**os.environ, "PYTHONHASHSEED": seed}
