"""Full ranking of held-out items, and whom a modality serves."""
