"""The objects: narrow frozen structs of what is read, and the value types they hold."""
