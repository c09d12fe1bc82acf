"""Numerical methods that several rooms share, in NumPy: each has its one home here.

* `gp`: the posterior and the likelihood of a Gaussian process.
* `ridge`: ridge regression, its strength given or chosen by leaving one out.
* `ranks`: mid-ranks, normal scores, Spearman's correlation.
* `acquisition`: log expected improvement, gain of hypervolume.

Nothing here knows of spaces, trials or objectives; small values are good throughout.
"""
