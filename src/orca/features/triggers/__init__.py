"""What starts deployments by itself: push hooks, at which Git hosts report pushes."""
