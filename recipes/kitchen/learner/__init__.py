"""The Learner that trains a run: fastai's own, with less Python per step."""
