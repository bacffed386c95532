"""Hostnames to services: routes, certificates, the proxy."""
