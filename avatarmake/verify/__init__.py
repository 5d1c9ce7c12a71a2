"""`make verify`: does this host make the same avatar? A small demo on every engine and device, against a reference.

runs.py says which engines and devices can be used and runs the stages, figures.py reads what came out, reference.py
holds it against what came out elsewhere (reference.json), outcome.py says and keeps the outcome.
"""
