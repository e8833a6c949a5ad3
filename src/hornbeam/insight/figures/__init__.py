"""Pictures of models and of what they do; each is a `Picture`, drawn by Matplotlib or as block characters."""
