"""Sources to patterns: each module reads one kind of source and cuts it into meaningful chunks."""
