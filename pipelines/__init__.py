"""Stages of the work, one file each, with the command line."""
