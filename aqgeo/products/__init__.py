"""What is published: COGs, STAC, QGIS styles, pictures, report."""
