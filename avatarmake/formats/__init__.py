"""What stages hand each other on disk: the tracker's .npz, FlashAvatar's .frame, images, PyTorch's archives."""
