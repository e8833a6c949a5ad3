"""PyTorch's files of tensors (`.pth`, `.pt`, `.bin`), read without unpickling."""
