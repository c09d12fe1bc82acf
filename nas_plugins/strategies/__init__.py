"""Search strategies: each proposes architectures from the history, one idea per file."""

from __future__ import annotations

if __name__ == "strategies":  # the folder itself was imported from the repository's root
    raise ImportError("import nas_plugins.strategies instead")
