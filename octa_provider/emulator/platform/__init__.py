"""The platform behind the wire: nodes, sessions, prices and money."""
