"""A multi-layer perceptron on scikit-learn's handwritten digits (1,797 images of 8 x 8 pixels, ten classes), trained epoch by epoch.

Under Holdfast it reads its parameters from params.json; alone, `python train.py learning_rate=0.01 hidden_units=64` does the same and prints.
The data is split once, with a fixed seed, into 60 % training, 20 % validation and 20 % test. The validation part chooses the epoch and, through
the campaign, the parameters; the test part is only looked at, never chosen by.
"""

import json
import os
import pickle
import sys
import warnings

# One core per trial: several run at once, and threads of linear algebra would only fight over the processors.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

try:
    import holdfast
except ImportError:
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    import holdfast

DEFAULTS = {
    "hidden_units": 64,
    "hidden_layers": 1,
    "learning_rate": 0.01,
    "batch_size": 32,
    "alpha": 1e-4,
    "activation": "relu",
    "momentum": 0.9,
    "solver": "sgd",
    "epochs": 30,
    "seed": 0,
}
SPLIT_SEED = 20260819
CHECKPOINT_EVERY = 5


def load_data():
    """(images, labels) for training, validation and test; pixels from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(images / 16, labels, test_size=0.2, stratify=labels, random_state=SPLIT_SEED)
    train, validation, train_labels, validation_labels = train_test_split(
        rest, rest_labels, test_size=0.25, stratify=rest_labels, random_state=SPLIT_SEED
    )
    return (train, train_labels), (validation, validation_labels), (test, test_labels)


def new_state(params):
    """What a checkpoint holds: the classifier with its optimiser and random stream, the epoch, and the best epoch so far."""
    classifier = MLPClassifier(
        hidden_layer_sizes=(int(params["hidden_units"]),) * int(params["hidden_layers"]),
        activation=params["activation"],
        solver=params["solver"],
        alpha=params["alpha"],
        batch_size=int(params["batch_size"]),
        learning_rate_init=params["learning_rate"],
        momentum=params["momentum"],
        random_state=numpy.random.RandomState(int(params["seed"])),
    )
    return {"classifier": classifier, "epoch": 0, "best": None}


def load_state(params):
    """The checkpoint of the attempt to go on from, or a new state."""
    folder = holdfast.resume_dir()
    path = os.path.join(folder, "state.pkl") if folder else None
    if path is None or not os.path.exists(path):
        return new_state(params)
    with open(path, "rb") as stream:
        return pickle.load(stream)


def save_state(state):
    path = os.path.join(holdfast.checkpoint_dir(), "state.pkl")
    with open(path + ".tmp", "wb") as stream:
        pickle.dump(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".tmp", path)


def train_epoch(state, train):
    """One pass over the training part; False when the weights are no longer finite."""
    try:
        state["classifier"].partial_fit(*train, classes=numpy.arange(10))
    except ValueError as error:
        if "non-finite" not in str(error):
            raise
        return False
    return bool(numpy.isfinite(state["classifier"].loss_))


def train(params):
    train_part, validation, test = load_data()
    state = load_state(params)
    epochs = int(holdfast.target_step() or params["epochs"])
    diverged_at = None
    for epoch in range(state["epoch"] + 1, epochs + 1):
        if not train_epoch(state, train_part):
            diverged_at = epoch
            break
        classifier = state["classifier"]
        accuracy = classifier.score(*validation)
        state["epoch"] = epoch
        if state["best"] is None or accuracy > state["best"]["val_accuracy"]:
            state["best"] = {"val_accuracy": accuracy, "test_accuracy": classifier.score(*test), "best_epoch": epoch}
        holdfast.report(epoch=epoch, train_loss=classifier.loss_, val_accuracy=accuracy)
        is_last = holdfast.should_stop()
        if is_last or epoch % CHECKPOINT_EVERY == 0 or epoch == epochs:
            save_state(state)
        if is_last:
            break
    best = state["best"] or {"val_accuracy": float("nan"), "test_accuracy": float("nan")}
    holdfast.result(epochs=state["epoch"], diverged_at=diverged_at, **best)


def arguments(words):
    """`name=value` words of the command line; values are JSON where they can be."""
    given = {}
    for word in words:
        name, is_there, text = word.partition("=")
        if not is_there or name not in DEFAULTS:
            sys.exit("{!r} is not understood; known are {}, as name=value.".format(word, ", ".join(DEFAULTS)))
        try:
            given[name] = json.loads(text)
        except ValueError:
            given[name] = text
    return given


if __name__ == "__main__":
    # Overflow in a diverging network is an outcome here, not a thing to warn of.
    warnings.simplefilter("ignore")
    numpy.seterr(all="ignore")
    train(holdfast.params(dict(DEFAULTS, **arguments(sys.argv[1:]))))
