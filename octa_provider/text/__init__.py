"""What strangers wrote, made plain: for terminals, logs, Markdown, JSON and databases. All else is built on it."""
