#!/usr/bin/env python3
"""Tables and plots of what bench/run wrote.

    bench/report.py show FILE...       tables as Markdown, to standard output
    bench/report.py publish FILE...    the same into bench/README.md, plots into docs/performance/
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import lines
import machine
import measure

_REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_README = os.path.join(_REPOSITORY, "bench", "README.md")
_PLOTS = os.path.join(_REPOSITORY, "docs", "performance")
_PERFORMANCE = os.path.join(_REPOSITORY, "docs", "performance.md")


def _row(*cells) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _ratio(value: float) -> str:
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def title(record: dict) -> str:
    wanted = record["wanted"]
    cache = "cold" if wanted["cold"] else "warm"
    return (f"{record['filesystem']['type']}, {record['facts']['files']:,} files, {cache}, "
            f"{wanted['threads']} thread{'s' if wanted['threads'] != 1 else ''}")


def conditions(record: dict) -> list:
    host, facts, wanted = record["machine"], record["facts"], record["wanted"]
    peers = ", ".join(f"{name} {version or 'not installed'}" for name, version in host["peers"].items())
    corpus = "generated" if wanted["corpus"] == "generated" else f"copy of {wanted['corpus']}"
    place = f"{record['filesystem']['device']} ({record['filesystem']['options']})"
    return [f"Corpus: {corpus}, {facts['files']:,} files in {facts['directories']:,} directories, "
            f"{facts['others']:,} others, {facts['bytes'] / 1e9:.2f} GB. Filesystem: {record['filesystem']['type']} on "
            f"{place}. Cache: {'cold (dropped before each step)' if wanted['cold'] else 'warm'}. "
            f"{record['rounds']} rounds, {wanted['threads']} threads.",
            f"{host['holdfast']}, Linux {host['kernel']}, {host['distribution']}, {host['processor']}, {host['cpus']} "
            f"CPUs, {host['memory_bytes'] / 2**30:.0f} GiB; load at start {host['load_at_start']:.2f}.",
            f"Beside it: {peers}."]


def acceptance(record: dict, results: measure.Results) -> list:
    table = [_row("what", "ratio", "rounds", "at most", ""), _row("---", "---:", "---", "---:", "---")]
    for line in lines.LINES:
        told = lines.judge(line, results, record["wanted"]["cold"])
        if "ratio" in told:
            table.append(_row(told["what"], _ratio(told["ratio"]), f"{_ratio(told['low'])} to {_ratio(told['high'])}",
                              f"{told['limit']:.2f}", told["verdict"]))
        else:
            table.append(_row(told["what"], "", "", f"{told['limit']:.2f}", told["verdict"]))
    return table


def steps(results: measure.Results) -> list:
    table = [_row("step", "median", "min to max", "CPU", "others", "rounds", ""),
             _row("---", "---:", "---", "---:", "---:", "---:", "---")]
    for step, samples in results.samples.items():
        seconds = [sample.seconds for sample in samples]
        note = f"FAILED: {_one_line(results.failures[step])}" if step in results.failures else ""
        table.append(_row(step, f"{statistics.median(seconds):.3f} s", f"{min(seconds):.3f} to {max(seconds):.3f}",
                          f"{statistics.median(sample.cpu for sample in samples):.2f} s",
                          f"{statistics.median(sample.others for sample in samples):.2f}", len(samples), note))
        phases = {name for sample in samples for name in sample.phases}
        for name in sorted(phases, key=lambda name: list(samples[0].phases).index(name)
                           if name in samples[0].phases else 99):
            found = results.seconds(step, name)
            table.append(_row(f"&emsp;{name}", f"{statistics.median(found):.3f} s",
                              f"{min(found):.3f} to {max(found):.3f}", "", "", "", ""))
    for step, reason in results.failures.items():
        if step not in results.samples:
            table.append(_row(step, "", "", "", "", "", f"FAILED: {_one_line(reason)}"))
    for step, program in results.missing.items():
        table.append(_row(step, "", "", "", "", "", f"{program} is not installed"))
    return table


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:200]


def others(results: measure.Results) -> list:
    table = [_row("also", "ratio", "rounds"), _row("---", "---:", "---")]
    for above, below in lines.COMPARED:
        if results.counts(above) and results.counts(below):
            ratio = measure.ratio(results, (above,), (below,))
            table.append(_row(f"{above} / {below}", _ratio(ratio.value),
                              f"{_ratio(ratio.low)} to {_ratio(ratio.high)}"))
    return table


def markdown(record: dict) -> str:
    results = measure.Results.from_dict(record["results"])
    text = [f"### {title(record)}", "", *conditions(record)]
    reserved = lines.reservations(record)
    if reserved:
        text += ["", f"**Not the conditions of acceptance: {'; '.join(reserved)}.**"]
    if record["differences"]:
        text += ["", f"**FAILED: after all rounds the corpus differs in {len(record['differences'])} places: "
                     f"{_one_line(record['differences'][0])}**"]
    text += ["", *acceptance(record, results), "", *steps(results), "", *others(results), ""]
    return "\n".join(text)


def scale_markdown(record: dict) -> str:
    host = record["machine"]
    text = ["### Scale", "",
            f"{record['filesystem']['type']} on {record['filesystem']['device']}, {record['wanted']['threads']} threads, "
            f"warm as far as memory goes, one round; {host['holdfast']}, Linux {host['kernel']}, {host['processor']}, "
            f"{host['cpus']} CPUs, {host['memory_bytes'] / 2**30:.0f} GiB; load at start {host['load_at_start']:.2f}.", ""]
    if record["busy"]:
        text += [f"**The machine was busy (load {host['load_at_start']:.1f}): times mean nothing.**", ""]
    steps_seen = list(dict.fromkeys(step for point in record["points"] for step in point["steps"]))
    text += [_row("corpus", *(f"{step}" for step in steps_seen), "peak anonymous", "catalog"),
             _row("---", *("---:" for _ in steps_seen), "---:", "---:")]
    for point in record["points"]:
        if point["failure"]:
            text.append(_row(point["name"], f"FAILED: {_one_line(point['failure'])}", *("" for _ in steps_seen), ""))
            continue
        cells = []
        for step in steps_seen:
            seconds = point["steps"].get(step)
            if seconds is None:
                cells.append("")
            elif point["files"] > 1000:
                cells.append(f"{seconds / point['files'] * 1e6:.2f} us")
            else:
                read = step in ("capture", "verify")  # the others look at no byte
                cells.append(f"{seconds:.2f} s" + (f", {point['bytes'] / seconds / 1e9:.1f} GB/s" if read else ""))
        catalog = f"{point['catalog_bytes'] / point['files']:.0f} B/file" if point["files"] > 1000 else ""
        text.append(_row(point["name"], *cells, f"{point['anonymous'] / 2**20:.1f} MiB", catalog))
    text += ["", _row("what", "value", "at most", ""), _row("---", "---:", "---:", "---")]
    text += [_row(line["what"], line["value"], line["limit"], line["verdict"]) for line in record["lines"]]
    return "\n".join(text + [""])


def plot(record: dict, name: str) -> str:
    """Medians of all steps as bars on a logarithmic axis; gives the file."""
    results = measure.Results.from_dict(record["results"])
    medians = sorted((statistics.median(results.seconds(step)), min(results.seconds(step)),
                      max(results.seconds(step)), step) for step in results.samples if results.counts(step))
    if not medians:
        return ""
    path = os.path.join(_PLOTS, name + ".svg")
    os.makedirs(_PLOTS, exist_ok=True)
    floor = min(row[1] for row in medians) / 3
    data = "\n".join(f'{position} {median} {low} {high} "{step}" {1 if _is_ours(step) else 2 if "bare" in step else 3}'
                     for position, (median, low, high, step) in enumerate(medians))
    script = f"""
set terminal svg size 900,{120 + 24 * len(medians)} font "sans,12" background "white"
set output "{path}"
set title "{title(record)}: seconds (median, and min to max)" noenhanced
set logscale x
set xrange [{floor}:{max(row[2] for row in medians) * 2}]
set yrange [-0.8:{len(medians) - 0.2}]
set key bottom right
set grid xtics
set style fill solid 0.8
unset mouse
$data << end
{data}
end
set linetype 1 lc rgb "#1b7837"
set linetype 2 lc rgb "#888888"
set linetype 3 lc rgb "#c2a5cf"
box(kind) = "($6==".kind." ? ($2+{floor})/2 : 1/0)"
plot for [kind=1:3] $data using (($6==kind) ? $2 : 1/0):1:({floor}):2:($1-0.35):($1+0.35):ytic(5) \\
       with boxxyerror lt kind title word("holdfast bare-loops today", kind), \\
     $data using 2:1:3:4 with xerrorbars lc rgb "black" pt 0 notitle
"""
    with tempfile.NamedTemporaryFile("w", suffix=".gnuplot", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(["gnuplot", file.name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"gnuplot: {done.stderr}")
    return path


def _is_ours(step: str) -> bool:
    return step.split()[0] in ("capture", "second", "verify", "wipe", "restore", "discard", "seal")


def plot_name(record: dict) -> str:
    wanted = record["wanted"]
    return (f"{record['filesystem']['type']}-{'cold' if wanted['cold'] else 'warm'}-{wanted['threads']}"
            + ("" if wanted["corpus"] == "generated" else "-" + os.path.basename(wanted["corpus"])))


def publish(records: list) -> None:
    if not machine.has("gnuplot"):
        sys.exit("report: gnuplot is not installed (bench/setup.sh)")
    texts, plots = [], []
    for record in records:
        texts.append(scale_markdown(record) if "points" in record else markdown(record))
        if "points" not in record and plot(record, plot_name(record)):
            plots.append(f"![{title(record)}](performance/{plot_name(record)}.svg)\n")
    _put_between(_README, "results", "\n".join(texts))
    _put_between(_PERFORMANCE, "plots", "\n".join(plots))


def _put_between(path: str, what: str, text: str) -> None:
    """Replaces what lies between the two marks of that name."""
    begin, end = f"<!-- {what}: begin, by bench/report.py -->", f"<!-- {what}: end -->"
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(begin, 1)
    after = rest.split(end, 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n\n{text}\n{end}{after}")


def load(paths) -> list:
    records = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            records += json.load(file)["records"]
    return records


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("show", "publish"))
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    records = load(arguments.files)
    if arguments.command == "publish":
        publish(records)
    else:
        for record in records:
            print(scale_markdown(record) if "points" in record else markdown(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
