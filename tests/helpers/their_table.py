"""A published table of somebody's plugin: the code, the claims and the cells."""

from collections.abc import Callable
from subprocess import CompletedProcess

Reproduce = Callable[..., "CompletedProcess[str]"]
HEAD = "method,dataset,classes,ipc,backbone,eval_backbone,label_type,protocol,metric,iterations,value,std,source,note\n"
CLAIMS = (
    "random,digits,10,1,convnet1,convnet1,hard,dc,top1,,{value},0.1,a paper,\n"
    "random,digits,10,2,resnet9,resnet9,hard,dc,top1,,50,0.1,a paper,\n"
    "random,cifar10,10,1,convnet1,convnet1,hard,dc,top1,,50,0.1,a paper,\n"
)
PLUGIN = """
from pathlib import Path
from bench.hookspecs import Offer, hookimpl
HERE = Path(__file__).parent

@hookimpl
def bench_claims():
    return [Offer("theirs", HERE / "claims.csv", "theirs")]

@hookimpl
def bench_published_tables():
    return [Offer("theirs", HERE / "table.toml", "a table of theirs")]
"""
TABLE = 'name = "theirs"\ntitle = "A paper, Table 1"\n[[cells]]\nsource = "a paper"\n'
