"""The model of the cluster that decisions are made on: the API's state plus what was assumed."""
