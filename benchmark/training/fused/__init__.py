"""The fused engine: one generated function a network. Tensor operations in, a small program in C++ out.

trace, elementwise: what a training step computes, number by number. numbers: those numbers, shared and simplified.
schedule: in which order, and where each is kept. write, loops: the text. build: the compiler and its cache. What is
trained, and for how long, does not belong here; nor does any unit's name.
"""
