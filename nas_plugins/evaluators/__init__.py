"""Evaluators: each measures architectures, one source of numbers per file."""

from __future__ import annotations

if __name__ == "evaluators":  # the folder itself was imported from the repository's root
    raise ImportError("import nas_plugins.evaluators instead")
