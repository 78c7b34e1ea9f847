"""Products compared with the known truth of a simulated world."""
