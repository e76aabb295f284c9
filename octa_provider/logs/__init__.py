"""A session's log: read in bounded memory, each line once, in order."""
