"""What a trial prints that the user stops."""

from collections.abc import Iterator

import pytest

from bench.cli.console import Console
from bench.cli.forecasts import filled, shown
from bench.errors import Interrupted
from bench.running.forecasting.forecast import Forecast


@pytest.mark.parametrize("names", [(), ("first",), ("first", "second")])
def test_what_was_tried_before_is_printed(capsys: pytest.CaptureFixture[str], names: tuple[str, ...]) -> None:
    def some() -> Iterator[Forecast]:
        yield from (Forecast(name, "done") for name in names)
        raise Interrupted("stopped by the user")

    found: list[Forecast] = []
    with Console() as console:
        stopped = filled(found, some(), console)
    assert shown(found, "table", stopped=stopped) == 130
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines() if line.startswith(("first", "second"))] == list(names)
    assert bool(out) == bool(names)
    assert f"what {len(names)} would take is known" in err
