"""The one error that means: the command was asked for something that cannot be done as written."""


class UsageError(ValueError):
    """A request that cannot be carried out; the command prints the message and exits with 2."""
