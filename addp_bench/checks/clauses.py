"""What can be promised: every clause of every contract that a program looks at, by an id such as `aug.range`."""

from __future__ import annotations

from collections.abc import Mapping

from addp_bench.spec import KINDS

_OPTIONS = {
    "words": "its docstring says in its first line what it is",
    "typed": "every option has a type",
    "documented": "every option has its words, in a line `name: text` of the docstring",
    "written": "a choice reads back the same from a command line and from a file",
    "builds": "its options are enough to build it",
    "works": "does what it is asked",
}
_CALLS = {
    "repeats": "equal arguments give equal answers, whatever was drawn elsewhere",
    "rebuilt": "built once more with the same options it answers the same",
    "global_state": "the random states of python, numpy and torch stay as they are",
    "arguments": "nothing is written into its arguments",
}
_TENSORS = {
    "shape": "answers have the shapes that the contract says",
    "dtype": "answers have the types that the contract says",
    "device": "answers lie on the device of the arguments, and are those of the CPU",
}
_ALONE = {"alone": "a sample does not depend on its batch"}
_BATCH = _CALLS | _TENSORS | _ALONE

_CLAUSES: dict[str, dict[str, str]] = {
    "task": _CALLS
    | {
        "truth": "names the type of its truth in a word, and reads a drawing or features",
        "named": "its encoding and corruptions are registered",
        "protocols": "it has protocols, of settings that a file can hold",
        "metrics": "a protocol's metrics have different ids, and say unit, direction and version",
        "cards": "the judges of its cards are protocols",
        "collates": "truths of B samples become one batch of B",
        "resizes": "a truth has its type and the new size, and at its own size it is the same",
        "takes_truth": "the truth of an example is one that it takes",
        "full_marks": "the truth gets the best value of the headline metric",
        "statistics": "statistics are numbers or 1-D arrays, of the same names for every sample",
        "resamples": "a resample of every sample once has the value of the samples",
        "batch": "`statistics_batch` says of several answers what `statistics` says of each",
        "refuses": "an answer that cannot be scored is a BadPrediction that names the sample",
        "quality": "quality is a finite number, and higher for a better answer",
        "ensemble": "one answer of two equal ones is that answer",
    },
    "dataset": {name: _CALLS[name] for name in ("repeats", "rebuilt", "global_state")}
    | {
        "card": "its card says licence, citation, access and fingerprint",
        "purposes": "it can be judged on, or trained and measured on",
        "splits": "its default splits are among its splits",
        "unknown_split": "a split that it does not have is an UnknownName",
        "tasks": "the tasks that it has truth for are registered",
        "protocol": "its protocol is one of the task's",
        "stats_apart": "stats shares no photograph with eval",
        "ids_unique": "ids are unique strings, one and one photograph's for every sample",
        "ids_stable": "built once more it has the same ids in the same order",
        "ids_placed": "a sample has the ids of its place",
        "photograph": "photographs are (H, W, 3) uint8",
        "writable": "photographs and truths can be written to, as torch asks of what it makes tensors of",
        "truth": "truths have the type and the range that the task says, and lie over the photograph",
        "truth_taken": "truths are ones that the task takes",
        "text": "the words are those of the sample",
        "text_unopened": "words are told without opening a photograph",
        "attributes": "attributes are plain values",
    },
    "encoding": _BATCH
    | {
        "truth": "names the type of truth that it draws in a word",
        "asks": "asks without the truth: a list of queries",
        "range": "pictures lie in [-1, 1]",
        "partial": "says `partial = True` where parts of a drawing mean nothing",
        "blind": "reads from the drawing alone, not from what it has drawn before",
        "read_back": "a drawing is read back as what was drawn",
        "several": "`decode_batch` reads several drawings as `decode` reads each",
        "sweep": "reads a drawing once for each value of its sweep",
        "sweep_own": "at its own value the sweep reads as `decode` does",
        "unlearnt": "reads nothing before its decoder has learnt, and says so with an error for people",
    },
    "weights": _CALLS
    | {
        "needs": "says whether it needs a contribution, and without it refuses with an error for people",
        "shape": "a timestep and a weight for every sample",
        "dtype": "timesteps are int64 and weights float32",
        "timesteps": "timesteps are code indices, 0 to T - 1",
        "finite": "weights are numbers",
        "nonnegative": "no weight is negative",
        "targets": "binds to every target, or refuses with an error for people",
        "probabilities": "`probabilities` are those that timesteps are drawn with",
        "loss_weights": "`loss_weights` (T,) are finite and not negative",
        "one_number": "losses combine to one number",
        "gradient": "every sample's loss has a gradient",
        "state": "restored from its state it goes on with the same draws",
    },
    "aug": _BATCH | {"range": "strengths lie in [0, 2]", "corrupts": "`corrupts` is true where it acts"},
    "corruption": _CALLS
    | _ALONE
    | {
        "acts_on": "says whether it acts on a truth or on a drawing",
        "same_kind": "gives back the type, shape and dtypes that it was given, at strengths up to 2",
        "device": _TENSORS["device"],
        "finite": "what it gives back is numbers",
        "zero": "strength 0 changes nothing",
        "acts": "strength 1 changes something",
        "photograph": "the photograph keeps its colours where nothing was painted",
    },
    "transform": _CALLS
    | _ALONE
    | {
        "changes": "says in a tuple of words what it does with a picture",
        "truths": "names the types of truth that it can change",
        "same_kind": "gives back photographs and truths of their types, shapes and dtypes",
        "device": _TENSORS["device"],
        "range": "photographs stay in [-1, 1]",
        "acts": "something changes",
        "alike": "a photograph and its truth are changed alike",
        "no_label_invented": "no label is invented",
    },
    "exposure": _BATCH
    | {
        "finite": "inputs and estimates are numbers",
        "trains": "where `trains` is False, training is that of `none`",
    },
    "target": _BATCH
    | {
        "accepts_corruption": "`accepts_corruption` is True or False",
        "read_back": "x0 is read back from the goal, also where a^2 + s^2 is not 1",
        "error_scale": "error_scale turns an error of x0 into one of the goal",
    },
    "noise": _BATCH
    | {
        "finite": "a and s are numbers at every timestep",
        "falls": "t = T - 1 is the noisiest: the SNR rises nowhere with t",
        "snr": "snr is a^2 / s^2",
        "alphas_cumprod": "alphas_cumprod (T,) float64 is a^2 / (a^2 + s^2)",
    },
    "objective": _BATCH
    | {
        "finite": "losses are numbers",
        "gradient": "the output has a gradient",
        "state": "restored from its state it has the same losses",
    },
    "model": {"global_state": _CALLS["global_state"], "rebuilt": _CALLS["rebuilt"]}
    | {
        "answers": "answers the tasks that it names",
        "scored": "an answer is one that its task can score",
        "repeats": "all randomness comes in with the generator",
        "fixed": "where it says `random = False` the generator changes nothing",
        "arguments": _CALLS["arguments"],
        "refuses": "what it cannot answer is an error for people",
        "honest": "who does not declare `uses_truth` answers the same without the truth",
        "settings": "noise, target, resolution and weight decay are there, and its target and guidance are registered",
        "budgets": "has the budgets quick, standard and paper",
        "dropout": "shares of dropout are three, not negative, at most 1 together",
        "card": "its card says of it what it is, without loading weights",
        "embeds": "one embedding (L, D) for every prompt",
        "conditions": "a conditioning (C', h, w) for every photograph",
        "latents": "pictures become latents of the codec's shape, and latents pictures",
        "range": "pictures lie in [-1, 1]",
        "output": "an output for every latent, of its shape, in finite numbers",
        "alone": _ALONE["alone"],
        "learns": "its network has parameters, and outputs a gradient for them",
        "features": "gives (B, C, h, w) of every layer that it names, without gradient",
        "device": "moved, every part answers on the device, and as on the CPU",
    },
    "sampler": _BATCH
    | {
        "falls": "timesteps are visited noisiest first, each once, all of the schedule",
        "estimates": "an estimate is kept for each visited timestep",
        "arrives": "ends near what the network says",
        "bare": "reads nothing of the noise but alphas_cumprod and steps",
        "warning": "its warning is words, or None",
    },
    "guidance": {name: _CALLS[name] for name in ("repeats", "rebuilt", "global_state")}
    | {
        "sum": "coefficients sum to 1",
        "conditionings": "conditionings are known ones",
    },
    "agent": {"global_state": _CALLS["global_state"], "arguments": _CALLS["arguments"]}
    | {
        "declares": "declares whether it sees the truth",
        "few": "proposes at most as many prompts as were asked for",
        "strings": "prompts are words",
        "history": "goes on from earlier rounds",
    },
    "executor": {
        "ends": "every job ends once",
        "order": "a job runs after those it needs, and a failure takes none but its own",
        "not_begun": "what needs a failed job is not begun",
        "error": "a failed job has its error",
    },
    "tracker": {
        "begin": "has `begin(run, config)`",
        "log": "has `log(run, step, values)`",
        "end": "has `end(run, values)`",
    },
}

CLAUSES: Mapping[str, str] = {
    f"{kind}.{name}": promise for kind in KINDS for name, promise in (_OPTIONS | _CLAUSES[kind]).items()
}
"""Id -> promise, by kind. Ids are stable: tests and reports name them."""
