"""How good images and generators are."""
