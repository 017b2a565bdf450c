"""What a row was evaluated by, taken apart: "hard+e10@3" is version 3 of the protocol "hard" in its variant "e10"."""

from collections.abc import Mapping
from typing import Any

from bench.storage.names import VARIANT


def name_of(row: Mapping[str, Any]) -> str:
    """Without the version; rows of old records have it in `protocol` alone."""
    return str(row.get("protocol_id") or row["protocol"]).partition("@")[0]


def base_of(row: Mapping[str, Any]) -> str:
    """Without version and variant: the protocol as its plugin offers it."""
    return name_of(row).partition(VARIANT)[0]


def version_of(row: Mapping[str, Any]) -> int:
    """Zero where the row does not say."""
    return int(str(row.get("protocol_id")).partition("@")[2] or 0)


def is_varied(row: Mapping[str, Any]) -> bool:
    """Whether it is a variant, of which no published number is."""
    return VARIANT in name_of(row)
