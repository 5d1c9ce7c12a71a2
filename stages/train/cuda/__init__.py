"""Training on CUDA: everything stays on the device, and a step is launched as a whole.

The arithmetic is the CPU's (avatarmake/avatar/cuda), the trainer's choices too (trainer.py): a checkpoint of the one
goes on with the other.
"""
