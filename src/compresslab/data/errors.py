"""The one error of this room: its message is a complete line for the person who runs the workflow."""


class DataError(ValueError):
    """Data that is missing, damaged or not what was asked for; says what, where, and what to do."""
