"""The routes of the service, a module per subject; `movierank_serving.app` puts them together."""
