"""One folder per recipe: its question, its runs, its answer, its figure."""
