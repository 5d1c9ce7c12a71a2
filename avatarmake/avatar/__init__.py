"""A trained avatar without PyTorch: where its Gaussians sit, what moves them, how they are drawn."""
