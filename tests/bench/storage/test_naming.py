"""Names that become parts of paths: refused where they are offered when they would lead out of their folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.condensation import Unit
from bench.data.cards import DatasetCard, Fetch
from bench.errors import RunFailure, UsageError
from bench.extensions.registry import KINDS, Registry
from bench.hookspecs import Offer
from bench.storage.names import below, check_file_name, check_name
from bench.storage.shared.stages import StageKey
from bench.storage.users_toml import validated

OUTSIDE = ["../evil", "../../evil", "/tmp/evil", "a/../../evil", "..", "", "a\0b", "\x1b[2J"]
LONG = "a" * 300


@pytest.mark.parametrize("name", [*OUTSIDE, "a/b", "Name", "a--b", "a..b", "a\n", LONG])
def test_an_offer_of_any_kind_has_a_name_or_its_plugin_is_not_loaded(tmp_path: Path, name: str) -> None:
    for hook in KINDS.values():
        path = tmp_path / "evil.py"
        offer = f"return [Offer({name!r}, 'json:dumps', '')]"
        path.write_text(f"from bench.hookspecs import Offer, hookimpl\n@hookimpl\ndef {hook}():\n    {offer}\n")
        with pytest.raises(UsageError, match="is no name") as refused:
            Registry((str(path),))
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("variant", [*OUTSIDE[:-1], "x/y"])
def test_no_protocol_can_offer_a_variant_whose_name_leads_elsewhere(
    monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    class Agrees:
        def variant(self, name: str) -> "Agrees":
            return self

    monkeypatch.setattr(Offer, "load", lambda _: Agrees())
    registry = Registry()
    with pytest.raises(UsageError, match="is no name of a variant"):
        registry.load("protocol", f"hard+{variant}")
    assert isinstance(registry.load("protocol", "hard+no-flip"), Agrees)


def _fetch(**changes: Any) -> Fetch:  # noqa: ANN401 - the fields of Fetch
    return validated(
        Fetch, {"url": "https://x.org/x.zip", "file": "x.zip", "checksum": f"md5:{0:032x}", **changes}, "card x"
    )


@pytest.mark.parametrize("file", [*OUTSIDE, "C:/x", "."])
def test_a_card_whose_download_would_lie_outside_the_data_root_is_refused(file: str) -> None:
    with pytest.raises(UsageError, match=r"card x: field 'file': (it must be|a path holds no NUL)"):
        _fetch(file=file)


@pytest.mark.parametrize("folder", [*OUTSIDE, "a/b", "a/"])
def test_a_card_whose_archive_would_be_extracted_elsewhere_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match=r"card x: field 'extract': (it must be|the name of|a path holds)"):
        _fetch(extract=folder)


def test_a_download_may_lie_in_a_folder_of_its_own() -> None:
    assert _fetch(file="mnist/raw/images.gz", extract="tiny-imagenet-200").file == "mnist/raw/images.gz"


@given(st.text())
def test_what_is_below_a_folder_stays_there(text: str) -> None:
    try:
        path = Path("/data/root") / below(text)
    except ValueError:
        return
    assert path != Path("/data/root") and ".." not in path.parts and path.is_relative_to("/data/root")


@pytest.mark.parametrize("name", ["../x", "a b", LONG])
def test_a_card_has_a_name_as_an_offer_has(name: str) -> None:
    with pytest.raises(UsageError, match=r"card x: field 'name': .* is no name"):
        _card(name)


def _card(name: str) -> DatasetCard:
    fields = {"resolution": 8, "normalisation": "half", "sources": [{"layout": "image-folder"}]}
    return validated(DatasetCard, {"name": name, **fields}, "card x")


@pytest.mark.parametrize("make", [lambda name: Unit(name, (0,)), lambda name: StageKey(name, 1, {})])
@pytest.mark.parametrize("name", [*OUTSIDE, "a/b", ".hidden", LONG, 3])
def test_units_and_stages_whose_names_are_none_of_a_file_are_refused(make: Callable[[Any], object], name: Any) -> None:  # noqa: ANN401
    with pytest.raises(RunFailure, match=r"names a .* and so a file: take letters"):
        make(name)


def test_names_as_they_are_used_pass() -> None:
    for name in ("class0004", "chunk 3-of-10", "recover", "bn-health", "c0_i1.2", "größe"):
        check_file_name("a unit", name)
    for name in ("bn-vit-tiny", "x2", "tiny-imagenet-1.0", "a" * 64):
        check_name(name)
