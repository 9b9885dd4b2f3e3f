"""Optuna behind JSON lines, for bench/search: {"new": …}, {"ask": k}, {"tell": …} in, one line out for each.

Usage: python optuna_peer.py. The GP sampler needs torch; with torch 1.x its use as a context manager for the device (a no-op on a CPU) is shimmed.
"""

import contextlib
import json
import sys
import time
import types
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")


def gp_sampler(seed: int, directions: int) -> optuna.samplers.BaseSampler:
    import torch

    torch.set_num_threads(1)
    if int(torch.__version__.split(".")[0]) < 2:
        import optuna.samplers._gp.sampler as module

        class Shim(types.ModuleType):
            device = staticmethod(lambda *_: contextlib.nullcontext())

            def __getattr__(self, name: str) -> object:
                return getattr(torch, name)

        module.torch = Shim("torch")
    return optuna.samplers.GPSampler(seed=seed)


SAMPLERS = {
    "random": lambda seed, _: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed, _: optuna.samplers.TPESampler(seed=seed),
    "tpe-univariate": lambda seed, _: optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=False),
    "gp": gp_sampler,
    "cmaes": lambda seed, _: optuna.samplers.CmaEsSampler(seed=seed),
    "nsga2": lambda seed, _: optuna.samplers.NSGAIISampler(seed=seed),
}


def suggest(trial: optuna.Trial, space: list) -> dict:
    params: dict = {}
    for p in space:
        when = p.get("when")
        if when and params.get(when["param"]) not in when["in"]:
            continue
        if p["type"] == "float":
            params[p["name"]] = trial.suggest_float(p["name"], p["low"], p["high"], log=p.get("log", False))
        elif p["type"] == "int":
            params[p["name"]] = trial.suggest_int(p["name"], p["low"], p["high"], log=p.get("log", False))
        elif p["type"] == "ordinal":
            # Optuna has no ordinal: its users take the position as an integer.
            at = trial.suggest_int(p["name"], 0, len(p["choices"]) - 1)
            params[p["name"]] = p["choices"][at]
        else:
            params[p["name"]] = trial.suggest_categorical(p["name"], p["choices"])
    return params


def distribution(p: dict) -> optuna.distributions.BaseDistribution:
    if p["type"] == "float":
        return optuna.distributions.FloatDistribution(p["low"], p["high"], log=p.get("log", False))
    if p["type"] == "int":
        return optuna.distributions.IntDistribution(p["low"], p["high"], log=p.get("log", False))
    if p["type"] == "ordinal":
        return optuna.distributions.IntDistribution(0, len(p["choices"]) - 1)
    return optuna.distributions.CategoricalDistribution(p["choices"])


def position(p: dict, value: object) -> object:
    return p["choices"].index(value) if p["type"] == "ordinal" else value


def main() -> None:
    study, space, running, cpu = None, [], {}, 0.0
    for line in sys.stdin:
        message = json.loads(line)
        answer: dict = {"ok": True}
        begin = time.process_time()
        if "new" in message:
            new = message["new"]
            space = new["space"]
            directions = new["directions"]
            study = optuna.create_study(directions=directions, sampler=SAMPLERS[new["sampler"]](new["seed"], len(directions)))
            running, cpu = {}, 0.0
            answer = {"version": optuna.__version__}
        elif "ask" in message:
            points = []
            for _ in range(message["ask"]):
                trial = study.ask()
                params = suggest(trial, space)
                running[trial.number] = trial
                points.append({"id": trial.number, "params": params})
            cpu += time.process_time() - begin
            answer = {"points": points, "cpu_ms": (time.process_time() - begin) * 1000}
        elif "tell" in message:
            tell = message["tell"]
            study.tell(running.pop(tell["id"]), tell["values"])
        elif "add" in message:
            for params, values in message["add"]:
                present = {p["name"]: distribution(p) for p in space if p["name"] in params}
                inner = {p["name"]: position(p, params[p["name"]]) for p in space if p["name"] in params}
                study.add_trial(optuna.trial.create_trial(params=inner, distributions=present, values=values))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
