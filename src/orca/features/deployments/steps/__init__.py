"""The steps of a deployment, one file each; every step is safe to run twice."""
