"""Descent on a tensor, training of networks, painting in one pass."""
