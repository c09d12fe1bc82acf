"""Proxies of how the images' gradients of the logits correlate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording

_SMALL = 1e-5
_MANY_CLASSES = 100

Floats = npt.NDArray[np.float64]


@proxy("jacov", needs=[Need.INPUT_GRADIENT], exact=True, version=2,
       source="Mellor et al., arXiv 2006.04647v1, section 3")  # fmt: skip
def jacov(recording: Recording) -> float:
    """-sum over eigenvalues v of log(v + k) + 1 / (v + k), k = 1e-5.

    The eigenvalues are those of the correlations between images of d(sum of logits)/dx.
    """
    values = np.linalg.eigvalsh(_correlations(_rows(recording)))
    # Rounding may leave the smallest eigenvalue of a correlation matrix below zero.
    values = np.maximum(values, 0) + _SMALL
    return float(-np.sum(np.log(values) + 1 / values))


@proxy("epe_nas", needs=[Need.INPUT_GRADIENT], exact=True, version=2,
       source="Lopes, Alirezazadeh and Alexandre, EPE-NAS, ICANN 2021")  # fmt: skip
def epe_nas(recording: Recording) -> float:
    """Sum over classes of abs(s_c), s_c = sum of log(abs(correlation) + 1e-5) within class c.

    Correlations as in jacov, between the images of a class. With more than 100 classes the mean
    over classes c of the sum over c' of abs(s_c - s_c'), with s_c divided by the class's number
    of images. At least one class must have two images.
    """
    rows, labels = _rows(recording), recording.batch.labels.cpu().numpy()
    classes, counts = np.unique(labels, return_counts=True)
    if counts.max() < 2:
        raise NoValueError("no class has two images in the batch")
    many = int(labels.max()) >= _MANY_CLASSES
    scores = []
    for label, count in zip(classes, counts, strict=True):
        if many and count < 2:
            continue
        logs = np.log(np.abs(_correlations(rows[labels == label])) + _SMALL)
        scores.append(logs.sum() / count if many else logs.sum())
    found = np.array(scores)
    if many:
        return float(np.abs(found[:, None] - found[None, :]).sum() / len(found))
    return float(np.abs(found).sum())


def _rows(recording: Recording) -> Floats:
    rows: Floats = recording.input_gradient.double().cpu().numpy()
    if not rows.any():
        raise NoValueError("all gradients are zero")
    if (rows.std(axis=1) == 0).any():
        raise NoValueError("an image's gradient is constant: it has no correlation")
    return rows


def _correlations(rows: Floats) -> Floats:
    return np.atleast_2d(np.asarray(np.corrcoef(rows), dtype=np.float64))
