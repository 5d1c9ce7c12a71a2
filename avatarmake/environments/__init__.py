"""What a stage runs on: its lock, the wheels it asks for, its virtual environment."""
