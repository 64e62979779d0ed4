"""The error of a run that a user sees as a sentence instead of a traceback."""


class TrainingError(Exception):
    """Names the value, the place and the way out; what was saved before it stays."""
