"""What the recipes share: data, models, the grid of runs, storage, statistics, plots and the report."""
