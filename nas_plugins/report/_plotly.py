"""Plotly's script: in a page, or once beside the pages of a folder."""

from __future__ import annotations

from pathlib import Path

from nas_plugins._files import write_bytes


def source() -> str:
    """The script."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text


def file_name() -> str:
    """Name of its file: pages of other versions keep theirs."""
    from plotly.offline import get_plotlyjs_version

    return f"plotly-{get_plotlyjs_version()}.min.js"


def put_into(folder: Path) -> None:
    """Writes it into a folder, unless it is there.

    Raises:
        OSError: It cannot be written.
    """
    file, content = folder / file_name(), source().encode()
    if not file.is_file() or file.stat().st_size != len(content):
        write_bytes(file, content)
