"""The API key of the client's tests: long enough to be found wherever it must not be."""

KEY = "octa-key-51a9e7c0d4b84f6e"
