"""How good pictures and generators are."""
