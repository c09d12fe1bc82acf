"""LLM-NAS's tables anew: searches at equal evaluations on HW-NAS-Bench."""
