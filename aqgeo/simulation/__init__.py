"""A world with known truth, written in the file formats of the real archives."""
