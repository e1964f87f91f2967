"""One paper, one file, in the order of their ideas.

1. :mod:`~styleloom.papers.gatys` (2016): optimise the pixels of a picture.
"""
