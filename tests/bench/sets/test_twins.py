"""Two runs of one kind make one set: the same bytes, and one name for their evaluation wherever they lie."""

from pathlib import Path

from benching import Bench

from bench.cli.foreign_sets import Described, described
from bench.extensions.registry import Registry


def test_two_runs_of_one_kind_are_one_set_in_two_places(tmp_path: Path) -> None:
    places = [Bench(tmp_path / name) for name in ("one", "other")]
    (job,) = places[0].jobs("random", eval_backbones=("convnet3",), protocols=("hard",), ipcs=(1,))
    for place in places:
        assert place.run(job).status == "done"
    folders = [place.runs / job.spec.name / "condensed" for place in places]
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert files[0] == files[1] and len(files[0]) == 3
    assert len({_evaluated(places[0], folder) for folder in folders}) == 1


def _evaluated(place: Bench, folder: Path) -> str:
    """The name of the run that evaluates a set."""
    found: Described = described(folder, "digits", "3", (), place.folder, place.cache, Registry())
    asked = {"eval_backbones": ("convnet3",), "protocols": ("hard",), "ipcs": found.ipcs}
    (job,) = place.jobs("imported", changes=found.changes, origin=found.origin, **asked)
    return job.spec.name
