"""What the command line does, as functions: each command is a thin layer over one of them."""

from __future__ import annotations
