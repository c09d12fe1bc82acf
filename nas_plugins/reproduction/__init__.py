"""The tables and figures of papers, and comparisons of strategies over seeds."""
