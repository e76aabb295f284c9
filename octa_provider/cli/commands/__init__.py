"""The commands of `octa-provider`, one file each.

A command is two functions: `add_parser` describes its options, and what it sets as `run` does the work and returns the
exit status. What needs an HTTP library or rich is imported when the command runs, so that `--help` is quick.
"""
