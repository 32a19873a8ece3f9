"""What calls plugins: one decision about a pod, and what is remembered between decisions."""
