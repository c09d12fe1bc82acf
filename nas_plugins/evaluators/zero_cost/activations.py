"""Proxies of which units are on, and of how feature maps correlate: one forward pass."""

from __future__ import annotations

from nas_plugins._torch import torch
from nas_plugins.evaluators.zero_cost.proxy import Need, NoValueError, proxy
from nas_plugins.evaluators.zero_cost.recording import Recording


@proxy("nwot", needs=[Need.RELU_GRAM], source="Mellor et al., ICML 2021, equation 2",
       version=2)  # fmt: skip
def nwot(recording: Recording) -> float:
    """log abs det K, with K_ij the number of ReLU units on which images i and j agree.

    Two images that switch on the same units make K singular: no value.
    """
    sign, logdet = torch.linalg.slogdet(recording.relu_gram)
    if float(sign) == 0 or not bool(torch.isfinite(logdet)):
        raise NoValueError("two images switch on the same units: the kernel is singular")
    return float(logdet)


@proxy("swap", needs=[Need.RELU_PATTERNS], source="Peng et al., SWAP-NAS, ICLR 2024",
       version=2)  # fmt: skip
def swap(recording: Recording) -> float:
    """Number of distinct patterns that ReLU units have over the images, without regularisation.

    A unit's pattern tells which images switch it on. The published score counts the patterns of
    32 images; the more images, the closer it comes to the number of units.
    """
    patterns = recording.relu_patterns
    if patterns.shape[1] == 1:
        return len(torch.unique(patterns[:, 0]))
    return len(torch.unique(patterns, dim=0))


@proxy("meco", needs=[Need.MAPS], source="Jiang et al., MeCo, NeurIPS 2023", version=2)
def meco(recording: Recording) -> float:
    """Sum over convolutions of the smallest eigenvalue of their channels' correlations.

    Pearson correlations over the positions of the first image's feature map; a channel that is
    constant correlates with none. The authors' code also counts the outputs of all other
    modules, and so counts one map several times.
    """
    # A map of one position correlates nothing.
    maps = [values for values in recording.maps if min(values.shape) > 1]
    if not maps:
        some = "returns channels at several positions" if recording.maps else "was called"
        raise NoValueError(f"no convolution {some}")
    # No more positions than channels: the smallest eigenvalue is 0, and else would be rounding.
    full = [torch.corrcoef(values) for values in maps if values.shape[0] < values.shape[1]]
    total = 0.0
    for correlation in full:
        total += float(torch.linalg.eigvalsh(torch.nan_to_num(correlation.double()))[0])
    return total
