"""Cameras, rotations, and how much points shake. numpy only."""
