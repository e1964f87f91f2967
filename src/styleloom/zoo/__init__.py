"""Models shipped in the package: weights, a model card each, and the scripts that made them."""
