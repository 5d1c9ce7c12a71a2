"""What the stages share, and the host's command: `python -m avatarmake`."""

from pathlib import Path

__version__ = "0.2.0"  # of the project; pyproject.toml reads it here, and every receipt names it

ROOT = Path(__file__).resolve().parent.parent  # the checkout; inside an image, what stands for it
