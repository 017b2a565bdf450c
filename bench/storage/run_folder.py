"""The names of what a run's folder holds; docs/concepts.md tells how it comes to be.

    RUN/
        spec.json                   what the run is
        log.txt                     what its processes printed
        units/                      what `synthesize` made, a file a unit, and its checkpoints
        losses.json                 the loss of the synthesis by term, where its method notes one
        condensed/                  the set
            manifest.json           what a trainer must know of it, and the checksums of its other files
        preview.png                 a sheet of its images
        costs.json                  what the synthesis took; with it the set is finished
        evaluations/                of each evaluation's training, KEY-NUMBER:
            KEY-NUMBER.json         its score
            KEY-NUMBER.curves.safetensors
        record.json                 the raw outcomes of all of it

The tensors of a set are named by `bench.sets.own_manifest`. Checkpoints lie in a folder beside what they are of
(UNIT.work, KEY-NUMBER.work, labels.work), which goes once that is made.
"""

from pathlib import Path

SPEC = "spec.json"
LOG = "log.txt"
UNITS = "units"
LOSSES = "losses.json"
CONDENSED = "condensed"
MANIFEST = "manifest.json"
PREVIEW = "preview.png"
COSTS = "costs.json"
EVALUATIONS = "evaluations"
CURVES = ".curves.safetensors"
RECORD = "record.json"
WORK = ".work"


def lock_of(folder: Path) -> Path:
    """The lock of whoever works on a run that lies there."""
    return folder.with_name(f".{folder.name}.lock")
