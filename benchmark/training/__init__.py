"""How networks are trained: networks of units, the step, two engines for it, tiles of replicas and worker processes.

Here belong whatever computes during training and what cuts and hands out that work; `fused/` generates programs for it
and `plain` is the loop it is measured against. What is trained (`asked`, `units`) and what it comes to (`results`) do
not.
"""
