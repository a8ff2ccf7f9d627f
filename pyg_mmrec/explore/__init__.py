"""A finished run to look at: who gets what, and why (extra ``explore``)."""
