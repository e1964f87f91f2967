"""What knows no image: errors, files, progress, settings, random numbers, precision, model files."""
