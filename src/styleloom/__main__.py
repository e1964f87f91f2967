"""``python -m styleloom``."""

from styleloom.cli import main

main()
