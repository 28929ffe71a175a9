"""`lrlab best --learner`: the best training of a Learner of the user's own."""
