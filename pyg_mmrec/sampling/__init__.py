"""Batches, negatives and subgraphs."""
