"""What knows no picture: errors, files, progress, settings, random numbers, precision, model files."""
