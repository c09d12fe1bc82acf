"""A wheel built through the sdist works in an empty environment; every clone builds the same."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PURELIB = "import sysconfig; print(sysconfig.get_path('purelib'))"
PROBE = """
import importlib, pkgutil, sys
import nas_plugins
from nas_plugins import registry

assert "site-packages" in nas_plugins.__file__, nas_plugins.__file__
for module in pkgutil.walk_packages(nas_plugins.__path__, "nas_plugins."):
    if module.name == "nas_plugins.__main__":
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] != "nni":  # an extra of its own, and not of the tests
            raise
broken = [i for kind in registry.GROUPS for i in registry.listing(kind) if i.error]
print("modules", sum(name.startswith("nas_plugins") for name in sys.modules))
for kind in registry.GROUPS:
    print(kind, *registry.names(kind))
from importlib import resources
templates = resources.files("nas_plugins.strategies.llm_coevolution") / "templates"
print("prompts", sum(file.name.endswith(".txt") for file in templates.iterdir()))
compared = nas_plugins.compare(
    ["random", "optuna:tpe"], "nasbench201/cifar10", trials=3, seeds=1, progress=False
)
print("compared", *compared.runs)
for info in broken:
    print("BROKEN", info.error)
sys.exit(bool(broken))
"""


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_built_wheel_imports_every_module_and_finds_every_plugin(tmp_path: Path) -> None:
    _run(sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert list((tmp_path / "dist").glob("*.tar.gz"))

    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    target = _run(python, "-c", PURELIB, cwd=home)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    _run(*install, target.strip(), wheel, cwd=tmp_path)
    # The dependencies come from the environment that runs the tests; the package does not,
    # since `-I` keeps the checkout off the path and the wheel stands first.
    here = _run(sys.executable, "-c", PURELIB, cwd=home)
    (Path(target.strip()) / "dependencies.pth").write_text(here)
    output = _run(python, "-I", "-c", PROBE, cwd=tmp_path)
    strategies = "arch-vq archive-evolution graph-gp llm-coevolution local-search random"
    assert f"strategy {strategies} regularized-evolution" in output
    assert "chat model local null openai replay transformers" in output
    assert "prompts 11" in output
    assert "compared random optuna:tpe" in output
    for name in ("nasbench101", "nasbench201", "darts", "darts-cell", "fbnet", "vit"):
        assert name in output


def _files_of_a_wheel(clone: Path, *options: str) -> set[str]:
    _run("git", "clone", "--quiet", *options, ROOT, clone, cwd=clone.parent)
    out = clone.parent / f"{clone.name}-dist"
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", out, clone, cwd=clone.parent)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("nas_plugins/")}


@pytest.mark.slow
def test_a_clone_without_symbolic_links_builds_the_same_wheel(tmp_path: Path) -> None:
    plain = _files_of_a_wheel(tmp_path / "plain", "-c", "core.symlinks=false")
    assert not (tmp_path / "plain" / "strategies").is_symlink()
    assert plain == _files_of_a_wheel(tmp_path / "linked", "-c", "core.symlinks=true")
    sources = (ROOT / "nas_plugins").rglob("*.py")
    assert {p.relative_to(ROOT).as_posix() for p in sources} <= plain
