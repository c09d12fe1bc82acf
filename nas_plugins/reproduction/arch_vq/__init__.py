"""The tables and figures of the Arch-VQ paper, run anew and set beside what it reports."""
