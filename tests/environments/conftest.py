"""Patched packages are tried in the scratch repository that patches have."""

from tests.patches.conftest import place  # noqa: F401
