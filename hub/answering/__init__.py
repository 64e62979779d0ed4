"""From a question to a cited answer: by the base, an adapter, the team's patterns, or both."""
