"""Data sets with labels: what they hold, read from disk or fetched."""
