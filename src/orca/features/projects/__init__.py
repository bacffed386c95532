"""Projects and their environments: what groups the services of a team."""
