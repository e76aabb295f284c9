"""Many sessions looked at by one list call."""
