"""What commands show: lists, bars, messages, and the words for amounts and times."""
