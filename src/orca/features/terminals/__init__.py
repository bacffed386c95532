"""Terminals: interactive commands in the containers of services, from the panel and from `orc exec`."""
