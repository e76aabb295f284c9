"""The output folder of a batch: accepted frames, the journal, the results."""
