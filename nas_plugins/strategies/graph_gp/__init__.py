"""Graph-GP: a Gaussian process over graph features of architectures picks the next trial."""
