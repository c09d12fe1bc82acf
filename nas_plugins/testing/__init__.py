"""Conformance kits: subclass one, give it a fixture, and pytest checks the contract.

``nas_plugins.testing.strategies`` holds ``StrategyTestCase``, ``.spaces`` holds
``SearchSpaceTestCase``, ``.evaluators`` holds ``EvaluatorTestCase``. They need pytest. For
readable assertions put this in the ``conftest.py``::

    pytest.register_assert_rewrite("nas_plugins.testing")
"""
