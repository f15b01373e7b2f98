"""The bodies of requests and responses. Requests forbid unknown fields; responses may gain fields."""
