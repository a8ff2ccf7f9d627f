"""What ``pyg-mmrec`` does, a command a file."""
