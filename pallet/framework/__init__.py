"""The contract of plugins: extension points, and what a plugin is given and answers with."""
