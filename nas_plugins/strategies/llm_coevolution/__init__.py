"""Co-evolution in niches with a language model: partition, operators inside a niche, strategy.

Zhu, Zhang and Huang, "LLM-NAS", arXiv 2510.01472.
"""

from __future__ import annotations
