"""Pieces of text that several summaries share."""

from __future__ import annotations


def one_line(text: str) -> str:
    """One line that cannot steer a terminal, whatever a file is called or contains."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text).rstrip()


def counted(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered) or "none"


def megabytes(sizes: dict[str, int]) -> str:
    total = sum(sizes.values())
    parts = ", ".join(f"{n} {s / 1e6:.1f}" for n, s in sizes.items() if s >= 100_000)
    return f"{total / 1e6:.1f} MB ({parts})"
