"""What every plugin is held to; import it from `bench.testing`."""

try:
    import pytest
except ImportError as missing:
    raise ImportError("bench.testing needs pytest: pip install 'condensation-bench[test]'") from missing

_KINDS = ("backbones", "common", "datasets", "formats", "making", "methods", "protocols")
pytest.register_assert_rewrite(*(f"{__name__}.{kind}" for kind in _KINDS))  # a failed check shows its values
