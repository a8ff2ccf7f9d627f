"""Data set, method and training meet; many of them; their folders."""
