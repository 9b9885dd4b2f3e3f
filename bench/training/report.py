"""A benchmark's figures as Markdown: what is printed and kept beside the JSON."""

from __future__ import annotations

from typing import Any, Sequence

NOTHING = "-"


def rounded(value: float | None, digits: int = 1) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def speed(value: float) -> str:
    """Four figures say all that can be repeated."""
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def megabytes(value: int | None) -> str:
    return f"{round(value / 1e6)} MB" if value else NOTHING


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def page(result: dict[str, Any]) -> str:
    """The whole page of a result as bench.py makes it."""
    where, setting = result["machine"], result["setting"]
    on_cpu = setting["device"] == "cpu"
    width = "" if setting["width_factor"] == 1 else f" x {setting['width_factor']:g}"
    parts = [
        f"# Training speed: {setting['model']}{width} on {'the CPU' if on_cpu else setting['device']}",
        f"{result['date'][:16].replace('T', ' ')} UTC, `{result['command']}`. {machine_words(where, on_cpu)}",
        f"Batches of {setting['batch_size']} from {setting['images']:,} generated images. Each contender is a process of its own; they take turns, "
        f"{setting['rounds']} rounds of {setting['steps']} steps, and a ratio is the median over the rounds, to `{result['compared_with']}`. "
        "The plain loop is what tutorials write, in float32 where no precision stands: one image at a time through a DataLoader. "
        "The trainer cuts whole batches from tensors in memory, so it has no loader processes; `off`, `bf16` and `fp16` are its `--amp`. "
        "What loaders have ready when a turn comes is used up before its clock starts.",
        speeds(result, on_cpu),
    ]
    if result["batches_alone"]:
        found = ", ".join(f"{name.split(': ')[1]} {speed(value)}" for name, value in result["batches_alone"].items())
        ratio = rounded(result["batches_alone_ratio"])
        parts.append(f"Batches alone, augmented and normalised on the device, with no network behind them, in images/s: {found} (ratio {ratio}).")
    parts += [f"Did not run: {name} ({why})." for name, why in result["failed"].items()]
    if result["several_trials"]:
        parts.append(several(result, on_cpu))
    return "\n\n".join(parts)


def machine_words(where: dict[str, Any], on_cpu: bool) -> str:
    device = where["device"] if on_cpu else f"{where['device']}{memory_words(where)}, {where['cpu']}"
    words = f"{device}, {where['cores']} cores ({where['threads']} used), torch {where['torch']}, Python {where['python']}, "
    words += f"load average at the start {rounded(where['load_at_start'])}."
    if "tf32" in where:
        allowed = [name.replace("_", " ") for name, is_allowed in where["tf32"].items() if is_allowed]
        words += f" float32: TF32 in {' and '.join(allowed) or 'nothing'}, torch's default."
    return words


def memory_words(where: dict[str, Any]) -> str:
    return f" ({where['device_memory_bytes'] / 2**30:.0f} GiB)" if "device_memory_bytes" in where else ""


def speeds(result: dict[str, Any], on_cpu: bool) -> str:
    """One row a contender, with the columns that have anything in them."""
    start = result["start"]
    columns = {
        "contender": lambda name: name,
        "images/s": lambda name: speed(result["images_per_second"][name]),
        "ratio": lambda name: rounded(result["ratio"].get(name), 2),
        "ratio to the plain loop of the same form": lambda name: rounded(result["ratio_in_the_same_form"].get(name), 2),
        "by processor time": lambda name: rounded(result["ratio_by_processor_time"].get(name), 2),
        "first batch after": lambda name: f"{rounded(start[name]['seconds_to_first_batch'], 2)} s",
        "resident memory": lambda name: megabytes(start[name]["resident_bytes"]),
        "device memory": lambda name: megabytes(start[name]["device_bytes"]),
    }
    is_alone = all(start[name]["seconds_to_first_batch"] is not None for name in result["images_per_second"])
    left_out = {"device memory", "ratio to the plain loop of the same form"} if on_cpu else {"by processor time"}
    if not is_alone:
        left_out.add("first batch after")
    kept = {head: cell for head, cell in columns.items() if head not in left_out}
    notes = []
    if on_cpu:
        notes.append(
            "Ratios by processor time (images per second of processor time, loader processes included) waver less on a machine that does other things as well."
        )
    if is_alone:
        notes.append("The first batch counts from the start of the process, each contender starting alone.")
    notes.append("Memory includes loader processes." if on_cpu else "Resident memory includes loader processes; device memory is the allocator's peak.")
    rows = [[cell(name) for cell in kept.values()] for name in result["images_per_second"]]
    return f"{table(list(kept), rows)}\n\n{' '.join(notes)}"


def several(result: dict[str, Any], on_cpu: bool) -> str:
    head = ["trials", "images/s of each", "in all", *([] if on_cpu else ["device memory of all"])]
    rows = [
        [
            str(row["trials"]),
            ", ".join(speed(each) for each in row["per_trial"]),
            speed(row["in_all"]),
            *([] if on_cpu else [megabytes(sum(each or 0 for each in row["device_bytes"]))]),
        ]
        for row in result["several_trials"]
    ]
    form = result["several_trials"][0]["form"]
    words = f"Several trials at once, one thread each (`{form}`):" if on_cpu else f"Several trials at once on the one device (`{form}`):"
    return f"{words}\n\n{table(head, rows)}"
