"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Bad input: one sentence that names the file or the key, and what to do. Commands print it and exit with 2."""
