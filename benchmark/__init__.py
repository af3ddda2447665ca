"""Can a neural network that learned + − × ÷ square √ on one range of numbers compute it outside that range?

In a notebook: `from benchmark.run import run`, then `run(models=["nalu"], tasks=["mul"]).summary`.
"""
