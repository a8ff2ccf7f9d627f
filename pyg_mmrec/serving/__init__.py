"""A trained model in use: raw ids in, raw ids out."""
