"""Official weights, read into StyleLoom's networks."""
