"""What all figures share. Drawn from tables alone."""
