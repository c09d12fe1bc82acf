"""``python -m nas_plugins.nni ...``: NNI's command ``nnictl`` beside current packages."""

from __future__ import annotations

import sys

from nas_plugins.nni._require import require_nni


def main() -> None:
    """Runs ``nnictl`` with our changes to NNI."""
    require_nni(nas=False)
    from nas_plugins.nni import _shims

    with _shims.pkg_resources():
        from nni.tools.nnictl import nnictl
    _shims.file_lock()
    sys.argv[0] = "nnictl"
    nnictl.parse_args()


if __name__ == "__main__":
    main()
