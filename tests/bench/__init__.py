"""Figures that dropmill holds itself to, measured on the machine at hand: ``make bench``, ``make bench BENCH=--quick``.

CPU time rather than wall time wherever that says the same, because machines are shared; ratios within one run, the
sides taken in turns, medians of several rounds. Nothing here is a test: what falls short is said, not failed.
"""
