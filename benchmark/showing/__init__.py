"""What people see: figures, sentences and tables as text, and the papers' numbers beside ours.

Here belong how results look, what models and tasks are called, and the order they stand in everywhere. What the numbers
are does not, except where a table only places published ones beside those of `results`; nor do the commands that ask
for all this, which lie above the rooms.
"""
