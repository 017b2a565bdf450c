"""Trackers: what a run was, how far it is and what came of it, told to TensorBoard, Weights & Biases or MLflow.

Each is a plugin that is loaded only where it is asked for, with the extra of its name:

    pip install "condensation-bench[tensorboard]"
    bench run ... --plugin bench_trackers.tensorboard

All three say the same: the hyper-parameters and what else the run's spec holds, once; the share that is done of each
loop, while it runs; then costs, scores of every training, and their curves (`bench.results.curves`), where those were
kept. A run that is found finished is told again under the same name, and stands there once; one that another process
has is left to that. A tracker that raises is warned about and does not touch a run.
"""
