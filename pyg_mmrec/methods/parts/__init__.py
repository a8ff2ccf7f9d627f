"""What one method alone uses, a file a method."""
