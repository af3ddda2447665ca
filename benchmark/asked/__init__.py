"""What is asked: from a request's names and overrides to one run's identity, and the numbers its network sees.

Here belong tasks, ranges, models by name, recipes and protocols, the configuration that puts them together, and the
random streams and data that follow from them. What a unit computes, how a network is trained and what becomes of its
results do not.
"""
