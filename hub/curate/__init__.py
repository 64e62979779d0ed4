"""Patterns and examples judged: annotated, cleaned, deduplicated, checked."""
