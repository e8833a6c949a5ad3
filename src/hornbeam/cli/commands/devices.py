"""`hornbeam devices`: the devices of this machine, and the engines that reach them."""

from __future__ import annotations

import argparse
import dataclasses
import json

HELP = "list CPU and GPUs, which engine reaches each, what to install; check each installed engine"
DESCRIPTION = (
    "Check means: five training steps of a small net, whose losses are compared with those of the reference "
    "engine, and the time of a step beside the native engine's. A small net says that an engine computes, "
    "not what it gains on a large one. Each engine has three minutes in a process of its own. Status 1 if an "
    "engine's losses differ."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--no-check", action="store_true", help="run nothing")


def run(args: argparse.Namespace) -> int:
    """Print devices and checks."""
    from hornbeam.diagnostics.devices import Check, check_apart, find_devices
    from hornbeam.visualization.display import Document, Table

    devices = find_devices()
    names = dict.fromkeys(name for device in devices for name in device.engines)
    checks = [] if args.no_check else [check for check in map(check_apart, names) if check is not None]
    if args.json:
        listed = [
            {"kind": each.kind, "name": each.name, "engines": each.engines, "install": each.install}
            for each in devices
        ]
        checked = [dataclasses.asdict(check) | {"differs": check.differs} for check in checks]
        print(json.dumps({"devices": listed, "checks": checked}, indent=2))
        return int(any(check.differs for check in checks))
    rows = [[each.kind, each.name, ", ".join(each.engines), each.install] for each in devices]
    heads = ("device", "name", "engines", "install")
    parts = [Table("Devices", heads, rows, text_columns=heads[1:], folding=heads[1:])]

    def shown(check: Check) -> list[str]:
        if check.error:
            return [check.engine, check.error, "", ""]
        word = "NO" if check.differs else "yes"
        times = f"{1000 * check.seconds:.3g}", f"{1000 * check.native_seconds:.3g}"
        return [check.engine, f"{word} ({check.loss_difference:.1e})", *times]

    if checks:
        heads = ("engine", "losses as reference", "ms a step", "native")
        columns = heads[1:2]
        parts.append(Table("Checks", heads, list(map(shown, checks)), text_columns=columns, folding=columns))
    Document(parts).show()
    return int(any(check.differs for check in checks))
