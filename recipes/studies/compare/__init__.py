"""The study of `lrlab compare`. Data flow one way, from the question to what a reader sees:

- study.py has the question and trains its runs; stages.py gives more seeds where they decide.
- results.py reads the tables of one folder or several.
- ranking.py, advice.py and protocol.py say in words which schedule to use, why, and how it was found out.
- pictures.py puts the panels of panels.py together to figures.
- report.py computes all of that once; report_text.py and report_html.py only show it.
- result.py is what the user gets. retrain.py trains one of its runs again, to export it.
- own_learner.py asks the question of a Learner of the user's own, from Python.
"""
