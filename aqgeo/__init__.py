"""aqgeo turns satellite archives into air-quality maps."""

__version__ = "0.1.0"
