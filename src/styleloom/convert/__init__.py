"""Official weights, read into StyleLoom's networks; the only code that opens pickles, through an allow-list."""
