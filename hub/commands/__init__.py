"""The verbs of ``patternhub``, one short function each."""
