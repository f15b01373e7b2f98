"""The offline half: from ratings and metadata to a registered model version."""
