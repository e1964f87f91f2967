"""Models shipped in the package: weights and a model card each."""
