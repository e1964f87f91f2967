"""Every verb once: on tensors, and on many files as jobs."""
