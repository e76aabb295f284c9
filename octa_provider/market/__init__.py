"""What to rent and where: requests, requirements, and which machines fit, in which order."""
