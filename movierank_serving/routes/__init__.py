"""The route handlers of the service, grouped by purpose."""
