"""Can a neural network that learned + − × ÷ square √ on one range of numbers compute it outside that range?

In a notebook: `from benchmark.run import run`, then `run(models=["nalu"], tasks=["mul"]).summary`.
The rooms of the package, each importing only from those before it: `asked`, `units`, `results`, `training`, `showing`.
Their docstrings say what belongs in them; here lie the commands, and `exact` and `errors` for everybody.
"""
