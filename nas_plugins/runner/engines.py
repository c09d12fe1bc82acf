"""What the engines of a search have in common before it begins: names, storages, options."""

from __future__ import annotations

from pathlib import Path

from nas_plugins.errors import UsageError, unknown_name
from nas_plugins.runner.storage import StorageURL, open_storage, storage_errors

OPTUNA, NNI = "optuna", "nni"
ENGINES = (OPTUNA, NNI)

_NNI_URL = "nni:///"


def check_engine(engine: str, *, pruner: str, take_over: bool) -> None:
    """Refuses unknown engines, and options that are not the engine's.

    Raises:
        UnknownNameError: There is no such engine; suggests the nearest.
        UsageError: An option is another engine's; names both.
        MissingDependencyError: The engine is not installed; says what to do.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if engine == OPTUNA:
        return
    if pruner != "none":
        raise UsageError(f"--pruner goes with --engine {OPTUNA}: {engine} ends no trial early")
    if take_over:
        raise UsageError(
            f"--take-over goes with --engine {OPTUNA}: {engine} evaluates again what a run has "
            "left behind"
        )
    from nas_plugins.nni import require_nni

    require_nni()


def parse_storage(engine: str, text: str) -> StorageURL:
    """Reads what was given as ``--storage``; a folder of NNI's may be written without a scheme.

    Raises:
        UsageError: It is no URL, or one of the other engine.
    """
    if engine == NNI:
        url = StorageURL(text if "://" in text else f"{_NNI_URL}{text}")
        if not url.text.startswith(_NNI_URL) or url.text == _NNI_URL:
            raise UsageError(
                f"--storage {url} goes with --engine {OPTUNA}; NNI keeps experiments in a folder: "
                f"--storage FOLDER or {_NNI_URL}FOLDER"
            )
        return url
    if text.startswith("nni:"):
        raise UsageError(f"--storage {text} goes with --engine {NNI}")
    return StorageURL.parse(text)


def folder_of(url: StorageURL) -> Path:
    """The folder of a storage of NNI's."""
    return Path(url.text.removeprefix(_NNI_URL)).expanduser()


def url_of(folder: Path) -> StorageURL:
    """Inverse of `folder_of`."""
    return StorageURL(f"{_NNI_URL}{folder}")


def studies_in(engine: str, url: StorageURL) -> list[str]:
    """The names of the studies in a storage."""
    if engine == NNI:
        from nas_plugins.nni._folder import experiments_in

        return experiments_in(folder_of(url))
    import optuna

    opened = open_storage(url, create=False, write=False)
    with storage_errors(url):
        return optuna.get_all_study_names(opened.storage)


__all__ = [
    "ENGINES",
    "NNI",
    "OPTUNA",
    "check_engine",
    "folder_of",
    "parse_storage",
    "studies_in",
    "url_of",
]
