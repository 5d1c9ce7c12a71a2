"""What a stage is held to: `stage.py` first, then `execution.py`."""
