"""What can go wrong for one architecture, said in one sentence."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from nas_plugins._torch import torch
from nas_plugins.errors import EvaluationError, NasPluginsError

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


@contextmanager
def failures_named(where: str) -> Iterator[None]:
    """Turns what a network raises into `EvaluationError`.

    Args:
        where: When it happened, e.g. ``"in epoch 1"``.
    """
    try:
        yield
    except NasPluginsError:
        raise
    except Exception as error:
        # The frames of a failed pass hold its tensors, the next architecture needs the memory.
        traceback.clear_frames(error.__traceback__)
        text = next(iter(str(error).strip().splitlines()), "")
        if _is_out_of_memory(error):
            raise EvaluationError(f"out of memory {where}: {text or 'no details'}") from None
        kind = type(error).__name__
        raise EvaluationError(f"the network fails {where}: {kind}: {text}") from error


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    # On a CPU PyTorch raises a plain RuntimeError.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)
