"""How files appear on disk, and what tells two of them apart."""
