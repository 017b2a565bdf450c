"""What the conformance of every kind of plugin has in common."""

from collections.abc import Sequence
from typing import ClassVar

import pytest

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.storage.names import check_name


class Conformance:
    """What every kind has in common.

    You must set:
        name: what the plugin offers, as users type it; or override the fixture `subject`, which returns it.

    You may set:
        plugins: modules or files to load besides what is installed, as for --plugin.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    plugins: ClassVar[Sequence[str]] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> str:
        """The name under test."""
        return cls.name

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls) -> Registry:
        """Everything installed, and `plugins`."""
        return Registry(cls.plugins)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def installed(cls, registry: Registry, subject: str) -> None:
        """Says what to do where nobody offers what is to be tested."""
        try:
            registry.find(cls.kind, subject)
            return
        except UsageError as error:
            said = str(error)
        todo = "install its plugin (pip install -e .), or set plugins = [MODULE_OR_FILE] in the test class"
        pytest.fail(f"{said}; {todo}", pytrace=False)

    def test_is_offered_under_a_name_that_users_can_type(self, registry: Registry, subject: str) -> None:
        """Lower case, digits, hyphens and dots, with a summary of one line, from a plugin that loads whole."""
        found = registry.find(self.kind, subject)
        check_name(subject)
        assert found.offer.summary.strip() and "\n" not in found.offer.summary, "say in one line what it is"
        assert found.plugin not in [broken.plugin for broken in registry.broken], registry.broken
