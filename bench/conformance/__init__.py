"""What every plugin is held to; import it from `bench.testing`."""

import pytest

pytest.register_assert_rewrite(__name__)  # so that a failed check shows its values, as in a test file
