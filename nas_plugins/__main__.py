"""``python -m nas_plugins`` is the command ``nas-plugins``."""

from __future__ import annotations

import sys

from nas_plugins.cli import main

# Spawned workers import this module again under another name and must not start a search.
if __name__ == "__main__":
    sys.exit(main())
