"""Every registered space, and a few categorical ones, pass the conformance kit."""

from __future__ import annotations

import pytest

import nas_plugins as nap
from nas_plugins import registry
from nas_plugins.testing.spaces import SearchSpaceTestCase, registered_space


class TestRegisteredSpaces(SearchSpaceTestCase):
    @pytest.fixture(params=registry.names("space"))
    def space(self, request: pytest.FixtureRequest) -> nap.SearchSpace:
        return registered_space(request.param)


class TestMacroSpace(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> nap.SearchSpace:
        return nap.CategoricalSpace.macro(5, (8, 16, 32))


class TestLargeSpace(SearchSpaceTestCase):
    """More than 2**63 combinations, so that keys are bytes."""

    @pytest.fixture
    def space(self) -> nap.SearchSpace:
        return nap.CategoricalSpace.macro(40, tuple("abcd"))


class TestSpaceWithClosedDecisions(SearchSpaceTestCase):
    @pytest.fixture
    def space(self) -> nap.SearchSpace:
        return nap.CategoricalSpace({"only": ["this"], "open": [1, 1.0, True], "one": [None]})
