"""Pictures as files and as sets."""
