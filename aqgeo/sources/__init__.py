"""Readers: archives in, cubes and station sets out."""
