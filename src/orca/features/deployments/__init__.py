"""Making a release live: builds, releases, deployments."""
