"""Greatest and nearest, exactly, with ties in an order of their own."""
