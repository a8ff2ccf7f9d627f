"""A finished run behind HTTP: JSON in, JSON out (extra ``serve``)."""
