"""``python -m styleloom``."""

from .cli import main

main()
