"""How far loops go."""

import time

from bench.pacing import Few, Pace


def test_a_real_run_walks_every_step() -> None:
    assert list(Pace().walk("loop", 2, 6)) == [2, 3, 4, 5]


def test_few_steps_are_the_first() -> None:
    assert list(Few(3).walk("loop", 0, 10)) == [0, 1, 2]
    assert list(Few(3).walk("loop", 8, 10)) == [8, 9]
    assert list(Few(0).walk("loop", 0, 10)) == []


def test_slow_steps_are_fewer_but_not_fewer_than_the_least() -> None:
    def walked(pace: Few) -> int:
        count = 0
        for _ in pace.walk("loop", 0, 50):
            time.sleep(0.002)
            count += 1
        return count

    assert walked(Few(20, least=4, seconds=0.0)) == 4
    assert walked(Few(20, least=4, seconds=60.0)) == 20
