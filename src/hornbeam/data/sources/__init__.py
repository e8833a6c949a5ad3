"""Datasets that are read from files in shards: Parquet, WebDataset, CSV, and Hugging Face's."""
