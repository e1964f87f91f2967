"""Foundations that know no image: errors, files, progress, settings, random numbers, precision, model files."""
