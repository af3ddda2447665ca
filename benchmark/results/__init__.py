"""What became of it: shards and checkpoints in a folder, and from them judged outcomes, summaries and their tests.

Here belong the results folder and its files, verdicts, intervals, and whether two results agree. How a network was
trained and how a table is shown do not. (In a wheel the papers' tables and the references' summaries
lie here too, as data, in `published/` and `reference/`.)
"""
