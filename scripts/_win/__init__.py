"""What `scripts/win.py` measures: cases, who takes part, controls, scores and goals."""
