"""The kinds of files that `fuzz.py` changes, and how each is read."""
