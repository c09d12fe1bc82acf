"""A whole search from Python: its request, workers, storage, journal, result and display."""

from __future__ import annotations
