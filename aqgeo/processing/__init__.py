"""Steps from cubes to cubes: cloud classes, gap filling, finer grids, concentrations."""
