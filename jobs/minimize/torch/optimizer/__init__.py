"""SciPy's optimizers as `torch.optim.Optimizer`s: a closure's loss as SciPy's function of one vector."""
