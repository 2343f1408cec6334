"""What a session is, without Ray: its definition, messages, routes, computations, and how they end."""
