"""One request and its answer: where it goes, how it is sent, what it says when something goes wrong."""
