"""Images drawn by our own code."""
