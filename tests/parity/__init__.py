"""Every metric of jiantx beside an independent computation, on the same noisy predictions.

scikit-learn, SciPy and two versions of seqeval compute a second time. What has no package (the
scripts of SQuAD, MLQA, BUCC and MC-TACO) is restated here from its rules, in slow loops. The tests
compare both; `python -m tests.parity` prints the table of docs/parity.md.
"""
