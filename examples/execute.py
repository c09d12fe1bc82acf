"""Executes the scripts of this folder and keeps each as a notebook with its outputs.

python examples/execute.py [01_optuna_search ...]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
NEEDS = {"04_nni": "nni"}
"""Packages that not every environment can have."""


def missing(script: Path) -> str | None:
    """Why a script cannot be executed here; ``None`` where it can."""
    package = NEEDS.get(script.stem)
    if package is None or find_spec(package) is not None:
        return None
    return f"{script.stem} needs {package}: pip install 'nas-plugins[{package},notebooks]'"


def execute(script: Path, timeout: int = 1800) -> nbformat.NotebookNode:
    """Runs a percent script as a notebook; returns it with its outputs.

    It runs in a folder of its own, which holds nothing but the data that goes with the script.
    """
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    notebook = jupytext.read(script)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    with tempfile.TemporaryDirectory() as folder:
        for data in FOLDER.glob(f"{script.stem}.*"):
            if data.suffix not in (".py", ".ipynb"):
                shutil.copy(data, folder)
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook, timeout=timeout, resources=resources, coalesce_streams=True
        )
        client.execute()
    for cell in notebook.cells:
        # Timestamps change with every run, and warnings name folders of the machine.
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Executes the scripts named on the command line, or all."""
    names = sys.argv[1:] or [path.stem for path in sorted(FOLDER.glob("[0-9][0-9]_*.py"))]
    for name in names:
        reason = missing(FOLDER / f"{name}.py")
        if reason is not None:
            print(f"examples/{name}.ipynb is left as it is: {reason}")
            continue
        nbformat.write(execute(FOLDER / f"{name}.py"), FOLDER / f"{name}.ipynb")
        print(f"examples/{name}.ipynb")


if __name__ == "__main__":
    main()
