"""Small folders of data, damaged in hundreds of ways."""
