"""The one exception of StyleLoom: a mistake in what was asked for, told in one line."""


class StyleLoomError(Exception):
    """What came, what was wanted and what to do, in one line.

    The command line prints it and exits with status 2; nothing has been written when it is raised.
    """
