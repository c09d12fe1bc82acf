"""What NNI wants to know of our tuner to find it by name."""

from __future__ import annotations

from pathlib import Path


def algo_meta() -> Path:
    """The file for ``nnictl algo register -m``, which makes the tuner known as ``ArchVQ``.

    With setuptools 82 or later, which have no ``pkg_resources``, ``nnictl`` does not start;
    ``python -m nas_plugins.nni algo register -m FILE`` does the same there.
    """
    return Path(__file__).with_name("algo_meta.yml")


def register_tuner() -> str:
    """Registers the tuner in NNI's own folder, as ``nnictl algo register`` does.

    Returns:
        The name for ``experiment.config.tuner.name``.
    """
    import yaml
    from nni.tools.package_utils import AlgoMeta, register_algo_meta

    meta = AlgoMeta.load(yaml.safe_load(algo_meta().read_text(encoding="utf-8")))
    register_algo_meta(meta)
    name: str = meta.name
    return name
