"""A network as an ONNX Runtime session on the CPU.

The exporter is PyTorch's own, built on ``torch.export``; it needs the packages ``onnx`` and
``onnxscript``. The older one, which traces with TorchScript, is faster but deprecated.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nas_plugins._torch import nn, torch
from nas_plugins.errors import needing

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def runner(module: nn.Module, inputs: torch.Tensor, *, threads: int) -> Callable[[], list[Any]]:
    """Exports a module in evaluation mode and returns a call that runs it on `inputs`.

    Args:
        module: On the CPU.
        inputs: `(B, ...)` on the CPU; the exported graph has this fixed shape.
        threads: Threads within an operator; operators run one after the other.

    Returns:
        A call that returns the outputs as arrays.

    Raises:
        MissingDependencyError: onnx, onnxscript or onnxruntime is not installed.
        Exception: Whatever the exporter or the runtime says about what they do not support.
    """
    runtime = _imported()
    module(inputs)  # what fails here too is said more plainly than by the exporter
    with _quiet():
        program = torch.onnx.export(module, (inputs,), dynamo=True, verbose=False)
    if program is None:  # only for exports into a file
        raise RuntimeError("the exporter of PyTorch returned no program")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    session = runtime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: inputs.numpy()}

    def run() -> list[Any]:
        outputs: list[Any] = session.run(None, feed)
        return outputs

    return run


def _imported() -> Any:
    with needing(f"backend 'onnxruntime' needs {', '.join(PACKAGES)}", "'nas-plugins[latency]'"):
        import onnx  # noqa: F401 - the exporter needs it
        import onnxruntime
        import onnxscript  # noqa: F401 - the exporter needs it
    return onnxruntime


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what this thread's export logs and warns about from the user; errors are raised."""
    thread = threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    handlers = [h for x in loggers if x.name.split(".")[0] == "torch" for h in x.handlers]
    for handler in handlers:
        handler.addFilter(others)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(others)
