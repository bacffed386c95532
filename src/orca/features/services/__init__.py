"""Projects and the services in them: what should run."""
