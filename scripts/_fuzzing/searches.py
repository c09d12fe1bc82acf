"""Files of searches: results, notes, calls of language models, architectures, kept runs."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from .kind import Kind


def _result() -> bytes:
    import nas_plugins as nap

    space = nap.space("nasbench201")
    rng = np.random.default_rng(0)
    trials = tuple(
        nap.Trial(i, space.sample(rng), values=(float(i), 1.0), notes={"reason": "none"})
        for i in range(3)
    )
    objectives = (nap.Objective("a", "max"), nap.Objective("b", "min"))
    history = nap.History(space, objectives, trials)
    return json.dumps(nap.SearchResult(history).to_json()).encode()


def _read_result(path: Path) -> object:
    from nas_plugins.results import SearchResult

    result = SearchResult.load(path)
    return result.summary(), result.front


def _recording() -> bytes:
    from nas_plugins.llm.base import ChatReply, ChatRequest, Message, chat_model
    from nas_plugins.llm.cache import ReplyStore

    model = chat_model("null")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        for k in range(2):
            request = ChatRequest(messages=(Message("user", f"ask {k}"),))
            ReplyStore(file).put(model, request, ChatReply("reply", "m", "stop", 9, 3, 0.5, None))
        return file.read_bytes()


def _read_recording(path: Path) -> object:
    from nas_plugins.llm.cache import ReplyStore

    store = ReplyStore(path)
    store.load()
    return store.all()


def _ledger() -> bytes:
    from nas_plugins.llm.ledger import CallRecord

    lines = [CallRecord(id=str(i), role="search").to_json() for i in range(2)]
    return b"".join(json.dumps({"event": "done", **line}).encode() + b"\n" for line in lines)


def _read_ledger(path: Path) -> object:
    from nas_plugins.llm.ledger import read_ledger

    return read_ledger(path)


def _prices() -> bytes:
    return json.dumps({"date": "2026-01-01", "m": {"input": 1.0, "output": 2.0}}).encode()


def _read_prices(path: Path) -> object:
    from nas_plugins.llm.prices import Prices

    return Prices.of(path)


def _architecture() -> bytes:
    import nas_plugins as nap

    return str(nap.space("nasbench101").sample(np.random.default_rng(0))).encode()


def _read_architecture(path: Path) -> object:
    import nas_plugins as nap

    return nap.space("nasbench101").parse(path.read_bytes().decode("utf-8", "replace"))


def _journal() -> bytes:
    lines = [{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}] * 2
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _read_journal(path: Path) -> object:
    from nas_plugins.runner.journal import damaged_line

    return damaged_line(path)


def _toml() -> bytes:
    return b'date = "2026-01-01"\n[m]\ninput = 1.0\noutput = 2.0\n'


def _read_toml(path: Path) -> object:
    from nas_plugins.llm.prices import Prices

    return Prices.of(path.rename(path.with_suffix(".toml")))


def _folder() -> bytes:
    return _result()


def _read_folder(path: Path) -> object:
    """As whoever shows a result: its table, its files and its page."""
    from nas_plugins.results import SearchResult

    result = SearchResult.load(path)
    return str(result), result.report(path.with_name("report.html"))


def _categorical() -> bytes:
    return b'{"width": 16, "depth": "deep", "rate": 0.1}'


def _read_categorical(path: Path) -> object:
    import nas_plugins as nap

    space = nap.CategoricalSpace({"width": [16, 32], "depth": ["deep"], "rate": [0.1, 0.2]})
    return space.parse(path.read_bytes().decode("utf-8", "replace"))


def _genotype() -> bytes:
    import nas_plugins as nap

    return str(nap.space("darts").sample(np.random.default_rng(0))).encode()


def _read_genotype(path: Path) -> object:
    import nas_plugins as nap

    return nap.space("darts").parse(path.read_bytes().decode("utf-8", "replace"))


def _transformer() -> bytes:
    import nas_plugins as nap

    return str(nap.space("vit").sample(np.random.default_rng(0))).encode()


def _read_transformer(path: Path) -> object:
    import nas_plugins as nap

    return nap.space("vit").parse(path.read_bytes().decode("utf-8", "replace"))


def _space() -> bytes:
    import nas_plugins as nap

    space = nap.CategoricalSpace({"a": [1, 2.5, "x", None], "b": [True, False]})
    return json.dumps(space.to_json()).encode()


def _read_space(path: Path) -> object:
    """A space as a result and a checkpoint hold it."""
    from nas_plugins._reading import json_file, refusing
    from nas_plugins.spaces.base import space_from_json

    with refusing(path, "a space"):
        return space_from_json(json_file(path, "a space")).size


def _note() -> bytes:
    from nas_plugins._frozen import FrozenDict
    from nas_plugins.llm.ledger import CallRecord
    from nas_plugins.strategies.llm_coevolution.log import BatchRecord, Child, Note

    calls = (CallRecord(id="1", role="search"),)
    batch = BatchRecord((Child("x"),), (), calls, FrozenDict({"asked": 3}))
    return Note(0, "a niche", 1, "llm", parents=(1, 2), batch=batch).write().encode()


def _read_note(path: Path) -> object:
    """The note of a trial in a storage, in all that is told of a co-evolution."""
    import nas_plugins as nap
    from nas_plugins.strategies.llm_coevolution.log import NOTE
    from nas_plugins.strategies.llm_coevolution.strategy import LLMCoEvolution

    space = nap.space("nasbench201")
    text = path.read_bytes().decode("utf-8", "replace")
    rng = np.random.default_rng(0)
    trials = tuple(
        nap.Trial(i, space.sample(rng), values=(float(i), 1.0), notes={NOTE: text})
        for i in range(2)
    )
    objectives = (nap.Objective("a", "max"), nap.Objective("b", "min"))
    history = nap.History(space, objectives, trials)
    told = LLMCoEvolution.summary(history, {}), LLMCoEvolution.sections(history, {})
    return told, LLMCoEvolution.facts(trials[0])


def _attributes() -> bytes:
    attributes = {
        "constraints": [0.5],
        "nas_plugins:note:x": {"pieces": 1, "crc32": 3421780262},
        "nas_plugins:note:x:0": "123456789",
        "nas_plugins:architecture": {"d0": 1, "d1": 2},
        "nas_plugins:seconds": 0.5,
    }
    return json.dumps(attributes).encode()


def _read_attributes(path: Path) -> object:
    """What a storage holds of a trial and of its study, in a sampler that goes on with it."""
    import optuna

    import nas_plugins as nap
    from nas_plugins.optuna import StrategySampler
    from nas_plugins.runner.results import assemble

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        held = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None  # no storage would have taken it
    space = nap.CategoricalSpace({"d0": [0, 1, 2], "d1": [0, 1, 2]})
    sampler = StrategySampler("local-search", space=space, seed=0)
    study = optuna.create_study(sampler=sampler)
    categories = optuna.distributions.CategoricalDistribution([0, 1, 2])
    for value in range(3):
        study.add_trial(
            optuna.trial.create_trial(
                params={"d0": value, "d1": 0},
                distributions={"d0": categories, "d1": categories},
                value=float(value),
                system_attrs=held if isinstance(held, dict) else {"constraints": held},
                user_attrs=held if isinstance(held, dict) else {},
            )
        )
    for key, value in held.items() if isinstance(held, dict) else ():
        study.set_user_attr(key, value)
    return study.ask().suggest_categorical("d0", [0, 1, 2]), assemble(study).summary()


def _reply() -> bytes:
    body = {"children": [{"gene": "0 1 2 3 4 0", "rationale": "deeper"}], "edits": []}
    return json.dumps(body).encode()


def _read_reply(path: Path) -> object:
    """What a language model has answered."""
    import nas_plugins as nap
    from nas_plugins.strategies.llm_coevolution.notation import Notation
    from nas_plugins.strategies.llm_coevolution.replies import read_children

    text = path.read_bytes().decode("utf-8", "replace")
    notation = Notation(nap.space("nasbench201"))
    return read_children(text, notation, wanted=3, seen=set(), off_niche=lambda _: None)


def _scores() -> bytes:
    from nas_plugins.evaluators.zero_cost.cache import CachedScore, ScoreCache

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.sqlite")
        with ScoreCache(file, {"params": 1}) as cache:
            cache.put("x", {"params": CachedScore(0.5)})
        return file.read_bytes()


def _read_scores(path: Path) -> object:
    from nas_plugins.evaluators.zero_cost.cache import CachedScore, ScoreCache

    with ScoreCache(path, {"params": 1}) as cache:
        found = cache.get(["x"])
        cache.put("y", {"params": CachedScore(0.25)})
    for left in path.parent.glob(f"{path.name}?*"):
        left.unlink()  # what was set aside, and what the database writes beside itself
    return found


def _experiment() -> bytes:
    return json.dumps({"executionEngine": {"name": "sequential"}}).encode()


def _read_experiment(path: Path) -> object:
    from nas_plugins.nni.folder import engine_of

    file = path.parent / "id" / "checkpoint" / "config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, file)
    return engine_of(path.parent, "id")


def _comparison() -> bytes:
    run = {"searched": [[1.0], [2.0]], "reported": [[1.0], [2.0]], "distinct": [1, 2]}
    return json.dumps({**run, "seconds": [0.1, 0.2], "strategy": "a", "seed": 0}).encode()


def _read_comparison(path: Path) -> object:
    import nas_plugins as nap
    from nas_plugins.reproduction.seed_runs import Competitor, SeedJob, kept_run

    goals = (nap.Objective("a", "max"),)
    found = kept_run(SeedJob(Competitor("a", "random"), "b", goals, goals, 2, 0, path))
    return found and (found.wasted(2), found.seconds_per_trial(2), len(found))


def _search_run() -> bytes:
    from nas_plugins._frozen import FrozenDict
    from nas_plugins.reproduction.llm_nas.runs import SearchRun

    run = SearchRun((1, 2), ((1.0, 2.0), (2.0, 1.0)), 0.5, 0.5, counts=FrozenDict({"asked": 1}))
    return json.dumps(vars(run), default=dict).encode()


def _read_search_run(path: Path) -> object:
    from nas_plugins.reproduction.llm_nas.runs import SearchRun

    found = SearchRun.read(path)
    return found and (np.array(found.searched), sum(found.tokens), sum(found.counts.values()))


KINDS: dict[str, Kind] = {
    "result.json": Kind(_result, _read_result),
    "result shown": Kind(_folder, _read_folder),
    "recording": Kind(_recording, _read_recording),
    "ledger": Kind(_ledger, _read_ledger),
    "prices.json": Kind(_prices, _read_prices),
    "prices.toml": Kind(_toml, _read_toml),
    "reply of a model": Kind(_reply, _read_reply),
    "note of a trial": Kind(_note, _read_note),
    "attributes": Kind(_attributes, _read_attributes),
    "NB101 architecture": Kind(_architecture, _read_architecture),
    "DARTS architecture": Kind(_genotype, _read_genotype),
    "ViT architecture": Kind(_transformer, _read_transformer),
    "choices": Kind(_categorical, _read_categorical),
    "space": Kind(_space, _read_space),
    "journal": Kind(_journal, _read_journal),
    "zero-cost.sqlite": Kind(_scores, _read_scores),
    "NNI experiment": Kind(_experiment, _read_experiment),
    "compared run": Kind(_comparison, _read_comparison),
    "reproduced run": Kind(_search_run, _read_search_run),
}
