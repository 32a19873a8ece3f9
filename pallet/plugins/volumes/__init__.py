"""Claims and their volumes: what VolumeBinding decides on, and what carries its decisions out."""
