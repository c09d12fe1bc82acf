"""Settings, batches, networks and the cache of the zero-cost evaluator."""

from __future__ import annotations

import math
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas_plugins as nap
from nas_plugins.errors import UnknownNameError

torch = pytest.importorskip("torch")

from nas_plugins.evaluators.training.networks import network_options as training_options  # noqa: E402
from nas_plugins.evaluators.zero_cost.batch import Batch  # noqa: E402
from nas_plugins.evaluators.zero_cost.cache import CachedScore, ScoreCache  # noqa: E402
from nas_plugins.evaluators.zero_cost.inputs import (  # noqa: E402
    balanced_labels,
    batch_digest,
    make_batch,
)
from nas_plugins.evaluators.zero_cost.networks import (  # noqa: E402
    built_under_seed,
    network_options,
    weight_seed,
)
from nas_plugins.evaluators.zero_cost.settings import PRESETS, Settings  # noqa: E402

SPACE = nap.space("nasbench201")
CELL = SPACE.sample(np.random.default_rng(0))


# -- settings ----------------------------------------------------------------------------------


def test_the_default_is_the_fast_preset() -> None:
    assert Settings() == Settings.of("fast") == Settings.of()
    assert (Settings().batch_size, Settings().resolution) == (16, 16)
    full = Settings.of("published", seed=3)
    assert (full.batch_size, full.resolution, full.size, full.seed) == (64, 32, "full", 3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"batch_size": 1}, "`batch_size` must be >= 2, got 1"),
        ({"resolution": 3}, "`resolution` must be >= 4, got 3"),
        ({"classes": 1}, "`classes` must be >= 2, got 1"),
        ({"seed": -1}, "`seed` must be >= 0, got -1"),
        ({"cells": 0}, "`cells` must be >= 1, got 0"),
        ({"batch_size": 8.5}, "`batch_size` must be an integer, got 8.5"),
        ({"batch_size": True}, "`batch_size` must be an integer, got True"),
        ({"batch_size": None}, "`batch_size` must be an integer, got None"),
        ({"channels_last": "yes"}, "`channels_last` must be true, false or None"),
        ({"device": ""}, "`device` must be the name of a device"),
        ({"input": "digit"}, "did you mean 'digits'"),
        ({"precision": "float23"}, "did you mean 'float32'"),
        ({"size": "ful"}, "did you mean 'full'"),
        ({"batchsize": 4}, "did you mean 'batch_size'"),
        ({"preset": "published", "wide": 1}, "zero-cost: unknown option `wide`"),
        ({"preset": "fats"}, "did you mean 'fast'"),
    ],
)
def test_wrong_settings_are_refused_by_name(overrides, message) -> None:
    with pytest.raises((ValueError, TypeError, UnknownNameError)) as caught:
        Settings.of(**overrides)
    assert message in str(caught.value)


def test_the_digest_tells_what_may_change_a_value() -> None:
    base = Settings()
    others = [
        Settings.of(**{name: value})
        for name, value in {
            "input": "digits", "batch_size": 8, "resolution": 8, "size": "tiny", "channels": 16,
            "cells": 5, "classes": 20, "seed": 1, "device": "cuda", "precision": "bfloat16",
            "channels_last": False,
        }.items()
    ]  # fmt: skip
    digests = [settings.digest() for settings in (base, *others)]
    assert len(set(digests)) == len(digests)
    assert base.digest(batch="a") != base.digest(batch="b")
    assert Settings(device="cuda:1").digest() == Settings(device="cuda:0").digest()
    assert pickle.loads(pickle.dumps(base)) == base


# -- batches -----------------------------------------------------------------------------------


@given(n=st.integers(2, 200), classes=st.integers(2, 120))
def test_each_label_comes_twice_where_possible(n, classes) -> None:
    counts = torch.bincount(balanced_labels(n, classes))
    assert int(counts.sum()) == n
    assert int(counts.max() - counts.min()) <= 1
    assert len(counts) <= classes
    assert int(counts.min()) >= 2
    assert len(counts) == classes or int(counts.min()) <= 3


@pytest.mark.parametrize("name", ["noise", "digits"])
def test_a_batch_repeats_itself_and_differs_by_seed(name) -> None:
    if name == "digits":
        pytest.importorskip("sklearn")
    settings = Settings(input=name, batch_size=20, resolution=12)
    batch, again = make_batch(settings), make_batch(settings)
    assert tuple(batch.inputs.shape) == (20, 3, 12, 12)
    assert batch_digest(batch) == batch_digest(again)
    assert batch_digest(batch) != batch_digest(make_batch(Settings.of(seed=1, batch_size=20)))
    assert torch.bincount(batch.labels).tolist() == [2] * 10
    assert abs(float(batch.inputs.mean())) < 0.3
    assert 0.5 < float(batch.inputs.std()) < 1.5


def test_digits_are_digits_and_all_different() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    batch = make_batch(Settings(input="digits", batch_size=40, resolution=8))
    pixels, digits = datasets.load_digits(return_X_y=True)
    known = ((pixels - pixels.mean()) / pixels.std()).astype(np.float32)
    found = batch.inputs[:, 0].reshape(40, -1).numpy()
    nearest = [int(np.abs(known - image).sum(axis=1).argmin()) for image in found]
    assert len(set(nearest)) == 40
    assert digits[nearest].tolist() == batch.labels.tolist()
    assert torch.equal(batch.inputs[:, 0], batch.inputs[:, 2])
    few = make_batch(Settings(input="digits", classes=3))
    assert set(few.labels.tolist()) == {0, 1, 2}


def test_the_user_s_batch_is_taken_as_it_is() -> None:
    images, labels = np.zeros((4, 1, 6, 7)), np.array([0, 1, 0, 9])
    for given_batch in ((images, labels), [torch.tensor(images), torch.tensor(labels)],
                        (images.tolist(), labels.tolist())):  # fmt: skip
        batch = make_batch(Settings(), given_batch)
        assert (batch.inputs.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
        assert tuple(batch.inputs.shape) == (4, 1, 6, 7)
        assert batch.labels.tolist() == [0, 1, 0, 9]
    assert batch_digest(make_batch(Settings(), batch)) == batch_digest(batch)
    assert make_batch(Settings(), images).labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("given_batch", "message"),
    [
        (np.zeros(6), "with B >= 2, got the shape (6,)"),
        (np.zeros((1, 3, 6, 6)), "with B >= 2, got the shape (1, 3, 6, 6)"),
        (np.zeros((0, 3, 6, 6)), "with B >= 2, got the shape (0, 3, 6, 6)"),
        (np.float32(3), "must be images (B, C, H, W), sequences (B, L, C), rows (B, N) or"),
        (np.full((4, 3, 6, 6), np.nan), "must be finite"),
        ((np.zeros((4, 3, 6, 6)), [0, 1]), "must have shape (4,), got (2,)"),
        ((np.zeros((4, 3, 6, 6)), [0, 1, 2, 10]), "below `classes`, which is 10, got 10"),
        ((np.zeros((4, 3, 6, 6)), [0, 1, 2, -1]), "must be >= 0, got -1"),
        ((np.zeros((4, 3, 6, 6)), [0.5, 1, 2, 1]), "integer labels, got torch.float64"),
        ((np.zeros((4, 3, 6, 6)), [0], [1]), "must be images and labels, got 3 parts"),
        ("noise", "numpy can read"),
    ],
)
def test_a_batch_of_the_wrong_form_is_refused(given_batch, message) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make_batch(Settings(), given_batch)
    assert "`batch`" in str(caught.value)
    assert message in str(caught.value)


# -- networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "darts", "darts-cell", "fbnet"])
@pytest.mark.parametrize("preset", PRESETS)
def test_the_options_fit_every_space_s_builder(name, preset) -> None:
    space = nap.space(name)
    options = network_options(space, Settings.of(preset, classes=7), 1)
    if preset == "published" and name != "nasbench201":
        return  # the full sizes are built in the networks' own tests
    network = space.network(space.sample(np.random.default_rng(0)), **options)
    network.eval()
    with torch.no_grad():
        assert tuple(network(torch.zeros(1, 1, 8, 8)).shape) == (1, 7)


def test_full_size_is_the_published_one() -> None:
    full = Settings.of("published")
    wide = {"classes": 10, "in_channels": 3}
    assert network_options(SPACE, full, 3) == {"channels": 16, "cells": 5, **wide}
    stem = {"stem_channels": 128, "modules_per_stack": 3}
    assert network_options(nap.space("nasbench101"), full, 3) == {**stem, **wide}
    assert network_options(nap.space("darts"), full, 3) == {"channels": 32, "layers": 8, **wide}


def test_width_and_depth_can_be_set() -> None:
    options = network_options(SPACE, Settings(channels=6, cells=2), 3)
    assert (options["channels"], options["cells"]) == (6, 2)
    with pytest.raises(ValueError, match="`channels` must be left out for the space 'fbnet'"):
        network_options(nap.space("fbnet"), Settings(channels=6), 3)
    with pytest.raises(UnknownNameError, match="unknown network 'categorical'"):
        network_options(nap.space("categorical", decisions={"a": [1, 2]}), Settings(), 3)


class Odd(type(SPACE)):
    """A space whose builder knows some of the settings and others."""

    network_sizes: ClassVar[dict] = {}

    def __init__(self) -> None:
        super().__init__()
        self.name = "odd"

    def network(self, architecture, *, channels=3, depth=2):
        return torch.nn.Flatten()


class Sized(Odd):
    """Declares its sizes, and what its builder calls the depth."""

    network_sizes: ClassVar[dict] = {"small": {"channels": 4}, "training": {"depth": 1}}
    network_depth = "depth"


def test_the_space_says_how_small_its_network_is() -> None:
    assert network_options(Sized(), Settings(), 3) == {"channels": 4}
    assert network_options(Sized(), Settings(cells=5), 3) == {"channels": 4, "depth": 5}
    trained = training_options(Sized(), {}, classes=10, in_channels=3)
    assert trained == {"depth": 1}


def test_an_unknown_builder_is_passed_what_it_names() -> None:
    assert network_options(Odd(), Settings(), 3) == {}
    assert network_options(Odd(), Settings(channels=9), 3) == {"channels": 9}


@pytest.mark.parametrize("name", ["nasbench101", "darts-cell", "nasbench201"])
def test_equal_architectures_have_one_representative_and_seed(name) -> None:
    space = nap.space(name)
    rng = np.random.default_rng(1)
    for _ in range(10):
        architecture = space.sample(rng)
        chosen = space.canonical(architecture)
        assert chosen.key == architecture.key
        assert space.canonical(chosen) == chosen
    assert weight_seed(0, chosen) == weight_seed(0, space.canonical(chosen))
    assert weight_seed(0, chosen) != weight_seed(1, chosen)


def test_the_seed_is_the_same_in_every_process() -> None:
    code = (
        "import nas_plugins as nap; from nas_plugins.evaluators.zero_cost.networks import *; "
        f"print(weight_seed(0, nap.space('nasbench201').parse({str(CELL)!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == weight_seed(0, CELL)


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = built_under_seed(lambda: torch.nn.Linear(2, 2), 1)
    assert torch.equal(torch.rand(3), expected)
    second = built_under_seed(lambda: torch.nn.Linear(2, 2), 1)
    assert torch.equal(first.weight, second.weight)


# -- the cache ---------------------------------------------------------------------------------

VERSIONS = {"a": 1, "b": 2}
SOME = {"a": CachedScore(0.1 + 0.2), "b": CachedScore(math.nan, "dead network")}


def same(first, second) -> bool:
    """Equality under which NaN equals NaN."""
    return repr(first) == repr(second)


@given(value=st.floats(allow_nan=False), reason=st.text(min_size=1, max_size=20))
def test_what_is_kept_comes_back_exactly(tmp_path_factory, value, reason) -> None:
    path = tmp_path_factory.mktemp("cache") / "scores.sqlite"
    reason = reason.encode("utf-8", "ignore").decode() or "x"
    entries = {"a": CachedScore(value), "b": CachedScore(math.nan, reason)}
    with ScoreCache(path, VERSIONS) as cache:
        cache.put("x", entries)
    with ScoreCache(path, VERSIONS) as cache:
        assert same(cache.get(["x", "y"]), {"x": entries, "y": {}})


def test_other_versions_and_unknown_proxies_are_not_seen(tmp_path: Path) -> None:
    with ScoreCache(tmp_path / "s", VERSIONS) as cache:
        cache.put("x", {**SOME, "mine": CachedScore(1.0)})
    with ScoreCache(tmp_path / "s", {"a": 2, "b": 2, "mine": 1}) as cache:
        assert same(cache.get(["x"]), {"x": {"b": SOME["b"]}})


def test_many_are_asked_for_at_once(tmp_path: Path) -> None:
    with ScoreCache(tmp_path / "s", VERSIONS) as cache:
        for i in range(1200):
            cache.put(str(i), {"a": CachedScore(float(i))})
    with ScoreCache(tmp_path / "s", VERSIONS) as cache:
        found = cache.get([str(i) for i in range(1300)])
    assert [found[str(i)].get("a") for i in range(1300)] == [
        CachedScore(float(i)) if i < 1200 else None for i in range(1300)
    ]


@pytest.mark.parametrize(
    "content", [b"not a database" * 90, b"SQLite format 3\0" + b"\x10\0\1\1" + b"\x7f" * 5000]
)
def test_a_foreign_file_is_put_aside_and_written_anew(tmp_path, caplog, content) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(content)
    with ScoreCache(path, VERSIONS) as cache:
        assert cache.get(["x"]) == {"x": {}}
        cache.put("x", SOME)
    assert "torn or foreign" in caplog.text
    assert (tmp_path / "s.sqlite.bad").read_bytes() == content
    with ScoreCache(path, VERSIONS) as cache:
        assert same(cache.get(["x"]), {"x": SOME})


def test_a_table_whose_name_is_no_text_is_put_aside(tmp_path, caplog) -> None:
    file = tmp_path / "s.sqlite"
    with ScoreCache(file, {"params": 1}) as cache:
        cache.put("x", {"params": CachedScore(0.5)})
    file.write_bytes(file.read_bytes().replace(b"tablescores", b"table" + b"\xc7" * 6))
    with ScoreCache(file, {"params": 1}) as cache:
        assert cache.get(["x"]) == {"x": {}}
        cache.put("x", {"params": CachedScore(0.25)})
    with ScoreCache(file, {"params": 1}) as cache:
        assert cache.get(["x"]) == {"x": {"params": CachedScore(0.25)}}
    assert "torn or foreign" in caplog.text


def test_a_foreign_table_is_put_aside_too(tmp_path, caplog) -> None:
    path = tmp_path / "s.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE scores (architecture TEXT, other TEXT)")
        database.execute("INSERT INTO scores VALUES ('x', 'y')")
    database.close()
    with ScoreCache(path, VERSIONS) as cache:
        assert cache.get(["x"]) == {"x": {}}
        cache.put("x", SOME)
    assert "torn or foreign" in caplog.text
    with ScoreCache(path, VERSIONS) as cache:
        assert same(cache.get(["x"]), {"x": SOME})


@pytest.mark.parametrize(
    "change",
    ["value = value + 1e-9", "reason = 'y'", "value = NULL", "proxy = 'b'", "checksum = 'x'",
     "checksum = NULL", "value = 'text'", "reason = NULL", "architecture = 'z'"],
)  # fmt: skip
def test_a_changed_entry_is_never_believed(tmp_path, change) -> None:
    path = tmp_path / "s.sqlite"
    with ScoreCache(path, {"a": 1, "b": 1}) as cache:
        cache.put("x", {"a": CachedScore(1.5)})
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE scores SET {change}")
    database.close()
    with ScoreCache(path, {"a": 1, "b": 1}) as cache:
        assert cache.get(["x", "z"]) == {"x": {}, "z": {}}


@given(position=st.integers(0, 8191), byte=st.integers(0, 255))
def test_no_torn_byte_makes_a_wrong_value(tmp_path_factory, position, byte) -> None:
    path = tmp_path_factory.mktemp("torn") / "s.sqlite"
    with ScoreCache(path, VERSIONS) as cache:
        for name in "xyz":
            cache.put(name, SOME)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = byte
    path.write_bytes(content)
    with ScoreCache(path, VERSIONS) as cache:
        for entries in cache.get(["x", "y", "z"]).values():
            for name, entry in entries.items():
                assert same(entry, SOME[name])


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("")
    with ScoreCache(tmp_path / "file" / "s.sqlite", VERSIONS) as cache:
        cache.put("x", SOME)
        assert cache.get(["x"]) == {"x": {}}
        cache.put("y", SOME)
    assert caplog.text.count("cannot use") == 1


_WRITER = """
import sys
from pathlib import Path
from nas_plugins.evaluators.zero_cost.cache import CachedScore, ScoreCache
for start in range(0, 60, 6):
    with ScoreCache(Path(sys.argv[1]), {"a": 1}) as cache:
        for i in range(start, start + 6):
            cache.put(f"{sys.argv[2]}-{i}", {"a": CachedScore(float(i))})
"""


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name], stderr=subprocess.PIPE)
        for name in "pq"
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert (writer.returncode, errors) == (0, b"")
    with ScoreCache(path, {"a": 1}) as cache:
        found = cache.get([f"{name}-{i}" for name in "pq" for i in range(60)])
    assert all(found[f"{n}-{i}"] == {"a": CachedScore(float(i))} for n in "pq" for i in range(60))


def test_spaces_and_settings_have_files_of_their_own(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NAS_PLUGINS_CACHE", str(tmp_path))
    paths = {
        ScoreCache.path_for(folder, space, digest)
        for folder in (None, tmp_path / "mine")
        for space in (SPACE, nap.space("categorical", decisions={"a": [1, 2]}),
                      nap.space("categorical", decisions={"a": [1, 3]}))
        for digest in ("1", "2")
    }  # fmt: skip
    assert len(paths) == 12
    assert {path.parent for path in paths} == {tmp_path / "zero-cost", tmp_path / "mine"}


def test_a_batch_object_is_a_batch() -> None:
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]))
    assert make_batch(Settings(), batch) is not None
