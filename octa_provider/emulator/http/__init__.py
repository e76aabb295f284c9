"""The API on the wire: routes, what every request goes through, and payloads with the oddities of the live one."""
