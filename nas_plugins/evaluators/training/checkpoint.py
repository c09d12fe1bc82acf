"""Where a training stands, in one file without pickled content.

The file is in the safetensors format: the tensors, and in its header the plain values as JSON,
the identity of the training and a checksum of the tensors. It is written beside its place and
then moved there, so that a process killed at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_plugins._files import write_bytes
from nas_plugins._reading import content, json_value, refusing
from nas_plugins._tensors import tensors_in
from nas_plugins._torch import torch
from nas_plugins.errors import DataError

_IDENTITY, _STATE, _CHECKSUM = "training", "state", "crc32"
_LOG = logging.getLogger(__name__)

Content = tuple[dict[str, torch.Tensor], dict[str, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training.

    Attributes:
        path: Its place.
        identity: All that decides the training's numbers, as text; another one is not read.
    """

    path: Path
    identity: str

    def save(self, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Replaces the file.

        Args:
            tensors: By name; what shares memory is written apart.
            state: JSON values.
        """
        from safetensors.torch import save

        copies = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        header = {
            _IDENTITY: self.identity,
            _STATE: json.dumps(dict(state)),
            _CHECKSUM: str(_checksum(copies)),
        }
        write_bytes(self.path, save(copies, header), sync=True)

    def load(self) -> Content | None:
        """The tensors and the state, or ``None`` where there is nothing to go on with.

        A file that is torn or of another training is named in a warning: training then begins
        anew, which costs time and nothing else, and replaces it.
        """
        if not self.path.exists():
            return None
        try:
            return self._read()
        except DataError as error:
            self.refuse(str(error))
            return None

    def refuse(self, reason: str) -> None:
        """Warns that the file is not used."""
        _LOG.warning(f"{self.path}: {reason}; training begins anew")

    def _read(self) -> Content:
        tensors, header = tensors_in(content(self.path), self.path)
        if header.get(_IDENTITY) != self.identity:
            raise DataError("a checkpoint of another training")
        if header.get(_CHECKSUM) != str(_checksum(tensors)):
            raise DataError("torn: its checksum does not fit")
        with refusing(self.path, "a checkpoint of a training"):
            return tensors, dict(json_value(header[_STATE], finite=False))


def _checksum(tensors: Mapping[str, torch.Tensor]) -> int:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy().tobytes(), value)
    return value
