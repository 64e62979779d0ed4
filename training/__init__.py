"""JSONL to adapters, with no other part of Pattern Hub: this folder runs alone on a GPU machine."""
