"""What a task tells OpenLineage: which files it has read and made, and what it has rented for that."""
