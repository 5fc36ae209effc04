"""dropmill turns every picture dropped into an inbox, exactly once, into renditions."""

__version__ = "0.1.0"
