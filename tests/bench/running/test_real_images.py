"""How many real images a class must have: as many as are picked or drawn, and no more."""

import pytest
from benching import Bench

from bench.errors import UsageError

MANY = {"ipcs": (1000,)}  # of a digit there are 139 training images or more


def test_a_method_that_starts_from_noise_may_make_more_images_than_there_are(bench: Bench) -> None:
    (job,) = bench.jobs("sre2l", control=False, **MANY)
    assert job.spec.ipc == 1000
    assert bench.jobs("dc", control=False, changes=("init=noise",), **MANY)


def test_its_control_may_not_and_the_line_says_how_to_go_on(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"control draws 1000 real images a class \(--no-control leaves it out\)"):
        bench.jobs("sre2l", control=True, **MANY)


@pytest.mark.parametrize(
    ("method", "needed", "changes"),
    [("random", 1000, ()), ("herding", 1000, ()), ("dc", 1000, ("init=real",)), ("dm", 1000, ()), ("mtt", 1000, ())],
)
def test_what_picks_real_images_or_starts_from_them_may_not(
    bench: Bench, method: str, needed: int, changes: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError, match=rf"^{method} needs {needed} real images a class for --ipc 1000, more than"):
        bench.jobs(method, control=False, changes=changes, **MANY)
