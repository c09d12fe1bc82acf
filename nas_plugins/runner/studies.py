"""`nap.load_study`: an Optuna study in a storage, whoever made it, as the result of a search."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optuna

from nas_plugins._frozen import FrozenDict
from nas_plugins._recorded import wrong_settings
from nas_plugins.errors import NasPluginsError, UsageError, unknown_name
from nas_plugins.optuna import study_settings
from nas_plugins.results import SearchResult
from nas_plugins.runner.problem import prepare
from nas_plugins.runner.request import SearchRequest, named
from nas_plugins.runner.results import assemble, with_problem
from nas_plugins.runner.storage import StorageURL, open_storage, storage_errors

_logger = logging.getLogger(__name__)


def load_study(
    storage: str, study: str | None = None, *, say: Callable[[str], None] | None = None
) -> SearchResult:
    """Reads a study as the result of a search.

    Of a study that `nas_plugins.search` has made the benchmark is opened again, for the true
    front. Studies of other programs work as far as their parameters are categorical.

    >>> nap.load_study("sqlite:///s.db", "mine").report("report.html")

    Args:
        storage: ``sqlite:///FILE``, ``journal:///FILE`` or a database URL.
        study: Name of the study; may be ``None`` where the storage holds one.
        say: Called with why the true front is missing, where it might be known.

    Raises:
        EngineError: The storage cannot be read.
        UsageError: It holds several studies and `study` is ``None``.
        UnknownNameError: It holds no such study; suggests the nearest.
    """
    url = StorageURL.parse(storage)
    opened = open_storage(url, create=False)
    with storage_errors(url):
        names = optuna.get_all_study_names(opened)
        if study is None and len(names) != 1:
            raise UsageError(f"{url} holds {len(names)} studies; choose one with `study`")
        name = study or names[0]
        if name not in names:
            raise unknown_name(f"study of {url}", name, names)
        loaded = optuna.load_study(study_name=name, storage=opened)
        recorded = study_settings(loaded)
        settings: dict[str, Any] = {
            **_sound(recorded.get("settings") or {}, name),
            "seed": recorded.get("seed"),
            "storage": str(url),
            "study": name,
        }
        result = replace(assemble(loaded), settings=FrozenDict(settings))
        try:
            request = _request(settings, result)
            if request is None:
                return result
            problem = prepare(request)
            return with_problem(result, problem, problem.true_front())
        except NasPluginsError as error:
            if say is not None:
                say(f"note: the report goes without the true front: {error}")
            return result


def _sound(settings: Mapping[str, Any], study: str) -> dict[str, Any]:
    """The settings without those that no search writes so, with one warning of them."""
    wrong = wrong_settings(settings)
    if wrong:
        names = ", ".join(f"`{name}`" for name in wrong)
        _logger.warning("study %r: its settings are not a search's, left out: %s", study, names)
    return {name: value for name, value in settings.items() if name not in wrong}


def _request(settings: Mapping[str, Any], result: SearchResult) -> SearchRequest | None:
    """What the study searches, where `nas-plugins search` has made it."""
    # What only proposes need not be built again: it may want a key, or hours of training.
    if not settings.get("benchmark") and not settings.get("evaluators"):
        return None
    history = result.history
    over = bool(settings.get("benchmark"))
    return SearchRequest(
        benchmark=settings.get("benchmark"),
        evaluators=named(settings.get("evaluators")),
        space=None if over else history.space.name,
        strategy="random",
        objectives=tuple(map(str, history.objectives)),
        constraints=tuple(settings.get("constraints") or ()),
        benchmark_options=settings.get("benchmark_options") or {},
        evaluator_options=settings.get("evaluator_options") or {},
        space_options={} if over else history.space.options,
    )
