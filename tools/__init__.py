"""What development needs around pallet; never a part of it."""
