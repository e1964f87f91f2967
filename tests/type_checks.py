"""The decorator by which jaxtyping's import hook checks arguments and results in the test run."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int may stand for a float
