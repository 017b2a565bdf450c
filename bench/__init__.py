"""A benchmark suite that compares dataset-condensation methods. Import what you need from its modules."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("condensation-bench")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+uninstalled"
