"""The loop, its checkpoints, and what makes a run the same run."""
