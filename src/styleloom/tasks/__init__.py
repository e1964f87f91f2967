"""Every verb on tensors, named as a noun: painting, sampling, inversion, editing, ..."""
