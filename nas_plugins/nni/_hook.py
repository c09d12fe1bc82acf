"""Makes ``nni.nas.strategy.ArchVQ`` and the others resolve, without importing NNI.

Where ``nni.nas.strategy`` is loaded already it gets a module ``__getattr__`` (PEP 562); otherwise
a finder waits for its import and does so then. Names that NNI or anyone else defines there are
never replaced: such a module attribute wins, as Python asks ``__getattr__`` last.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

# Every `import nas_plugins` runs this module: it imports nothing that is not loaded anyway.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

NAMES = ("ArchVQ", "ArchiveEvolution", "GraphGP", "LLMCoEvolution", "LocalSearch", "RandomSearch")
"""What resolves in ``nni.nas.strategy``; NNI has a ``RegularizedEvolution`` of its own."""

_TARGET = "nni.nas.strategy"
_PACKAGE = "nni.nas"
_MARK = "_nas_plugins_names"


def install() -> None:
    """Makes the names resolve, now or as soon as ``nni.nas.strategy`` is imported."""
    module = sys.modules.get(_TARGET)
    if module is not None:
        extend(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def extend(module: ModuleType) -> None:
    """Gives a module our names, behind its own; does nothing the second time."""
    if _MARK in vars(module):
        return
    ours = tuple(name for name in NAMES if name not in vars(module))
    for name in sorted({*NAMES}.difference(ours)):
        _refuse(module.__name__, name)
    vars(module)["__getattr__"] = _getter(module, ours, vars(module).get("__getattr__"))
    vars(module)["__dir__"] = _lister(module, ours, vars(module).get("__dir__"))
    vars(module)[_MARK] = ours


def _refuse(module: str, name: str) -> None:
    import logging

    logging.getLogger(__name__).warning(
        "%s.%s exists already and is left alone; ours is nas_plugins.nni.%s", module, name, name
    )


def _getter(
    module: ModuleType, ours: tuple[str, ...], former: Callable[[str], Any] | None
) -> Callable[[str], Any]:
    def get(name: str) -> Any:
        if name in ours:
            import nas_plugins.nni

            return getattr(nas_plugins.nni, name)
        if former is not None:
            return former(name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    return get


def _lister(
    module: ModuleType, ours: tuple[str, ...], former: Callable[[], Any] | None
) -> Callable[[], list[str]]:
    def names() -> list[str]:
        return sorted({*(former() if former is not None else vars(module)), *ours})

    return names


class _Finder:
    """Waits for the import of the target and extends the module after it has run."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname == _PACKAGE:
            from nas_plugins.nni._require import quieten

            quieten()
        if fullname != _TARGET:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None
            if finder is not self and find is not None:
                spec = find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Runs the module's own loader, gives the module back to it, and extends the module."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        extend(module)
        sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
