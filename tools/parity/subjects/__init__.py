"""What clusters and pods are made of, a module for each part of scheduling."""
