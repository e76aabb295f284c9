"""Time as the core sees it: clocks, deadlines, how long to wait before asking again, and what an outage is told as."""
