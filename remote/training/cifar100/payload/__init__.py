"""The CIFAR-100 payload: data, models, training, checkpoints and reports. `train.py`, `data.py` and `analyze.py` beside this package are its commands."""
