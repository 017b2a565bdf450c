"""Folders of runs that sites are made of."""

import struct
from dataclasses import replace
from pathlib import Path

from bench.conformance.formats import sample_record, sample_spec
from bench.results import records
from bench.results.spec import Origin, RunSpec

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0)


def keep_run(
    runs: Path,
    seed: int = 0,
    top1: float = 50.0,
    method: str = "random",
    machine: str = "A processor",
    origin: Origin | None = None,
    control: str = "",
) -> str:
    """Writes the record of a run of one protocol and two trainings, the first of `top1`; returns its name.

    Their scores were made under "a test".
    """
    told = sample_spec(seed).to_json()
    spec = replace(RunSpec.from_json({**told, "method": {**told["method"], "name": method}}), origin=origin)
    score = {"top1": top1, "top5": None, "best_top1": None, "epochs": 7, "seconds": 1.5, "made_under": "a test"}
    outcome = {
        **{"protocol": "hard", "protocol_id": "hard@1", "backbone": "convnet3", "asked": ["paper"], "note": ""},
        **{"label_kind": "hard", "teacher_backbone": None, "status": "done", "reason": None},
        "scores": [{**score, "seed": 0}, {**score, "top1": 52.0, "seed": 1}],
    }
    made = {"command": "bench run -m 'a b' --set x=1", "date": "2026-01-02T03:04:05+00:00", "version": "0.1"}
    environment = {"device": "cpu", "device_name": machine, "precision": "fp32", "versions": {}, "made": made}
    controls = {"hard-convnet3": control} if control else None
    record = sample_record(spec, {"set_bytes": 640}, {"hard-convnet3": outcome}, environment, controls)
    folder = runs / f"run{seed}"
    records.write(folder, record)
    (folder / "preview.png").write_bytes(PNG)
    return record.spec.name
