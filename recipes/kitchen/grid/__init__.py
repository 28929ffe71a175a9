"""Many runs: where they are trained, in which order, and what one sees meanwhile."""
