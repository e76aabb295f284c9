"""Options that several commands have, and how the command line is read."""
