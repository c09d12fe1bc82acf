"""NAS-Bench-301: a surrogate of DARTS architectures trained on CIFAR-10.

Zela et al., "Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS
Benchmarks", ICLR 2022, as the neural network that YAHPO Gym fitted to its training data
(Pfisterer et al., AutoML-Conf 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas_plugins.benchmarks import files
from nas_plugins.benchmarks.base import check_spaces, table_name
from nas_plugins.errors import DataError, MissingDependencyError
from nas_plugins.protocols import Benchmark, Metric, MetricValues
from nas_plugins.spaces.base import Architecture
from nas_plugins.spaces.darts import DARTS, OPERATIONS

EPOCHS = (1, 98)

_NODES = (2, 3, 4, 5)
_CELLS = ("normal", "reduce")
# The surrogate numbers the choices of each feature in alphabetical order, from 1; 0 is "#na#".
_OPERATION_CODE = {name: code for code, name in enumerate(sorted(OPERATIONS), start=1)}
_FIRST_EDGE = {2: 0, 3: 2, 4: 5, 5: 9}
_N_EDGES = 14
_N_FEATURES = 34


class NASBench301Surrogate(Benchmark):
    """NAS-Bench-301: predicted accuracy and training time of DARTS architectures.

    A surrogate answers for all 1.09e18 genotypes, without noise; its true front is not known.
    The optional dependency onnxruntime computes it.

    Args:
        epoch: Length of the predicted training, 1 to 98 epochs.

    Raises:
        UnknownNameError: The name goes on behind ``nasbench301``.
        ValueError: `epoch` is out of range.
        DataError: The file is absent or not the surrogate; says what to download and where.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, *parts: str, epoch: int = 98) -> None:
        self._name = table_name("nasbench301", parts, self.tables())
        if not EPOCHS[0] <= epoch <= EPOCHS[1]:
            raise ValueError(f"`epoch` must be in {EPOCHS[0]}..{EPOCHS[1]}, got {epoch}")
        self._epoch = epoch
        self._space = DARTS()
        self._file = files.trusted("nasbench301")
        self._session = _session(self._file)

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """The only name."""
        return ("nasbench301",)

    @property
    def name(self) -> str:
        """``"nasbench301"``."""
        return self._name

    @property
    def space(self) -> DARTS:
        """The DARTS space without ``none``."""
        return self._space

    @property
    def source(self) -> str:
        """Which surrogate it is."""
        return f"NAS-Bench-301: surrogate of YAHPO Gym ({self._file.name}), epoch {self._epoch}"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Predicted validation accuracy and training time."""
        after = f"after {self._epoch} epochs, predicted"
        return (
            Metric("val_accuracy", "%", "max", f"CIFAR-10 validation accuracy {after}"),
            Metric("train_seconds", "s", "min", f"training time {after}"),
        )

    def evaluate(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Predicts the metrics, about a millisecond per architecture.

        Raises:
            TypeError: Not an `Architecture`.
            InvalidArchitectureError: One belongs to another space.
        """
        owner = f"benchmark {self._name!r}"
        check_spaces(architectures, self._space, owner=owner)
        known = tuple(metric.name for metric in self.metrics)
        epoch = np.array([[self._epoch]], dtype=np.float32)
        found: list[dict[str, float]] = []
        for features in encode(architectures):
            values = self._session.run(None, {"x_cat": features[None], "x_cont": epoch})[0][0]
            named = dict(zip(known, map(float, values), strict=True))
            found.append(MetricValues(named, known=known, owner=owner))
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}(epoch={self._epoch})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A session of onnxruntime cannot be pickled; the other process opens its own.
        return _reopen, (self._epoch,)


def encode(architectures: Sequence[Architecture]) -> npt.NDArray[np.int32]:
    """Features of the surrogate, `(B,)` architectures to `(B, 34)`.

    The operations on the 14 edges of the normal cell, those of the reduction cell, and the
    pairs of inputs of nodes 3, 4, 5 in both. Edges are numbered by target, then source: 0-1 of
    node 2, 2-4 of node 3, 5-8 of node 4, 9-13 of node 5; an unused one is 0.
    """
    features = np.zeros((len(architectures), _N_FEATURES), dtype=np.int32)
    for row, architecture in zip(features, architectures, strict=True):
        choices = architecture.choices
        for cell_number, cell in enumerate(_CELLS):
            for node in _NODES:
                name = f"{cell}/node_{node}"
                pair = str(choices.get(f"{name}/inputs", "0_1"))
                for i, source in enumerate(map(int, pair.split("_"))):
                    edge = cell_number * _N_EDGES + _FIRST_EDGE[node] + source
                    row[edge] = _OPERATION_CODE[str(choices[f"{name}/op_{i}"])]
                if node > 2:
                    place = 2 * _N_EDGES + cell_number * 3 + node - 3
                    row[place] = _pair_code(pair, node)
    return features


def _pair_code(pair: str, node: int) -> int:
    pairs = [f"{a}_{b}" for a in range(node) for b in range(a + 1, node)]
    return pairs.index(pair) + 1


def _reopen(epoch: int) -> NASBench301Surrogate:
    return NASBench301Surrogate(epoch=epoch)


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "benchmark 'nasbench301' needs onnxruntime: run `pip install nas-plugins[nasbench301]`"
        ) from error
    options = onnxruntime.SessionOptions()
    # The network is tiny: more threads only wait for each other.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no public tree of errors
        raise DataError(f"{file} is not a readable ONNX file: {error}") from error
    if [entry.name for entry in session.get_inputs()] != ["x_cat", "x_cont"]:
        raise DataError(f"{file} is not the surrogate of NAS-Bench-301")
    return session
