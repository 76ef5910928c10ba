"""The host side: compiler, model tools, client, deployment."""
