"""Pictures of models and of what they do; each is a `Figure`, drawn by Matplotlib or as block characters."""
