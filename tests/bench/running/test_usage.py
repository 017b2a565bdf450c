"""Bad input gets one clear line that names the nearest valid choice, status 2, and writes nothing."""

from pathlib import Path

import pytest
from benching import Bench

USUAL = {"-m": "sre2l", "-d": "digits", "--backbone": "convnet3-w32-bn", "--budget": "quick"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"-m": "sre2"}, "unknown method 'sre2'; did you mean 'sre2l'?"),
        ({"-d": "tiny-imagnet"}, "unknown dataset 'tiny-imagnet'; did you mean 'tiny-imagenet'?"),
        ({"-d": "tiny-imagenet"}, "bench data fetch tiny-imagenet"),
        ({"-m": "imported"}, "method 'imported': path: no recipe gives it, and it has no default"),
        ({"--backbone": "resnet81"}, "did you mean 'resnet18'?"),
        (
            {"--backbone": "convnet3"},
            "needs a backbone with batchnorm, which convnet3 lacks; choose from convnet3-bn",
        ),
        ({"--protocol": "hard+e0"}, "did you mean 'eN'? (N epochs under any budget, such as e10"),
        ({"--backbone": "sre2=convnet3-w32-bn"}, "unknown method or trait 'sre2'; did you mean 'sre2l'?"),
        ({"--backbone": "sre2l=convnet3"}, "needs a backbone with batchnorm, which convnet3 lacks"),
        ({"--eval-backbone": "convnt3"}, "did you mean 'convnet3'?"),
        ({"--protocol": "papr"}, "unknown protocol 'papr'; did you mean 'paper'?"),
        ({"--protocol": "hard+no-flp"}, "unknown variant of hard 'no-flp'; did you mean 'no-flip'?"),
        ({"--protocol": "hrd+no-flip"}, "unknown protocol 'hrd'; did you mean 'hard'?"),
        ({"--protocol": "paper+no-flip", "--set": "relabel.labels=stored"}, "sre2l-c100+no-flip shows others"),
        ({"--classes": "0"}, "--classes"),
        ({"--classes": "11"}, "10"),
        ({"--classes": "3,44"}, "unknown class"),
        ({"--ipc": "0"}, "0 is not in the range 1<=x<=1000000"),
        ({"--ipc": "1000"}, "the control draws 1000 real images a class (--no-control leaves it out), more than the 1"),
        ({"-m": "random", "--ipc": "1000"}, "random needs 1000 real images a class for --ipc 1000, more than the 1"),
        ({"-m": "rded", "--ipc": "40", "--set": "factor=2"}, "rded needs 160 real images a class"),
        ({"--set": "recover.iteration=5"}, "did you mean 'recover.iterations'?"),
        ({"--set": "recover.iterations=lots"}, "recover.iterations"),
        ({"--set": "recover.iterations"}, "KEY=VALUE"),
        ({"--device": "gpu"}, "choose from auto, cpu, cuda"),
        ({"--device": "cuda:99"}, "no such device"),
        ({"--precision": "tf32", "--device": "cpu"}, "on this cpu take fp32 or bf16"),
        ({"--format": "tabel"}, "unknown format 'tabel'; did you mean 'table'?"),
        ({"--plugin": "nowhere.py"}, "nowhere.py"),
        ({"--budget": "fast"}, "'paper', 'quick'"),
        ({"--metod": "x"}, "--method"),
    ],
    ids=lambda value: " ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    bench = Bench(tmp_path)
    options = [word for pair in {**USUAL, **changed}.items() for word in pair]
    ended = bench.spoken("run", *options)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert said in lines[0]
    assert not bench.runs.exists()


def test_a_mistake_is_one_line_of_the_program_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ended = bench.executed(bench.command("-m", "sre2"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "bench: unknown method 'sre2'; did you mean 'sre2l'?\n"
    assert not bench.runs.exists()


def test_a_folder_of_images_in_place_of_its_card_is_told_of_the_card(tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    (tmp_path / "flowers" / "flowers.toml").touch()
    ended = Bench(tmp_path).spoken("run", "-m", "random", "-d", "flowers")
    assert ended.returncode == 2
    assert "named by its card: flowers/flowers.toml" in ended.stderr


def test_two_plugins_with_one_name_are_refused_naming_both(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from bench.hookspecs import Offer, hookimpl\n"
        "@hookimpl\n"
        "def bench_methods():\n"
        "    return [Offer('random', 'nowhere:Nothing', 'another random')]\n"
    )
    ended = Bench(tmp_path).typed("-m", "random", "--plugin", str(plugin))
    assert ended.returncode == 2
    assert "'coresets'" in ended.stderr
    assert "mine'" in ended.stderr


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("name = 'mine'\n", "field"),
        ("name = [", "mine.toml"),
    ],
)
def test_a_bad_card_names_the_file_and_the_field(tmp_path: Path, card: str, said: str) -> None:
    (tmp_path / "mine.toml").write_text(card)
    ended = Bench(tmp_path).spoken("run", "-m", "random", "-d", "mine.toml")
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert said in ended.stderr
    assert "mine.toml" in ended.stderr


STRANGE = """
from torch import nn
from bench.hookspecs import Offer, hookimpl

built = []

class Pair(nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1)), images

def thousand(classes, resolution, channels):
    built.append(classes)
    assert len(built) == 1, "looked at twice"
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * resolution**2, 1000))

@hookimpl
def bench_backbones():
    pair = lambda classes, resolution, channels: Pair(channels * resolution**2, classes)
    return [Offer("thousand", thousand, "of another task"), Offer("pair", pair, "and its features")]
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run -m random --backbone convnet3 --eval-backbone thousand --ipc 1 --ipc 2", "1000 outputs for 10 classes"),
        ("run -m random --backbone pair", "returns a tuple of 2"),
        ("speed -m random --backbone thousand", "1000 outputs for 10 classes"),
    ],
)
def test_a_network_that_gives_no_logits_of_the_classes_is_refused_before_any_work(
    tmp_path: Path, command: str, said: str
) -> None:
    (tmp_path / "strange.py").write_text(STRANGE)
    bench = Bench(tmp_path)
    ended = bench.spoken(*command.split(), "-d", "digits", "--plugin", "strange.py")
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert said in ended.stderr
    assert not bench.runs.exists()
