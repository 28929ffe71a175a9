"""Learning-rate schedules and training callbacks for fastai."""
