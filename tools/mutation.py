"""``./run soak mutation``: small faults in the code that counts money, and whether tests notice.

Each mutant is one changed node in a copy of the tree, tested by its area's tests on SQLite alone.
A survivor is a line that no test of the area pins, or a change that means the same.
"""
# ruff: noqa: T201  # printing is what the command is for

import ast
import io
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEED, COUNT, MINUTES, WORKERS = 20261128, 200, 40, 2
# Area: its files under creditapp/, then its tests under tests/, the likeliest killers first.
AREAS = {
    "ledger": "ledger/*.py ledger/test_scenarios.py ledger/test_reversals.py ledger/test_holds.py"
    " ledger/test_captures.py ledger/test_expiry.py ledger/test_queries.py"
    " ledger/test_idempotency.py ledger/test_outbox.py ledger/test_proof.py",
    "pricing": "catalog/pricing.py catalog/tokens.py catalog/packs.py catalog/products.py"
    " catalog/catalog.py catalog/price_list.py catalog/formatting.py catalog/test_pricing.py"
    " catalog/test_packs.py catalog/test_price_list.py catalog/test_presets.py"
    " catalog/test_bad_catalogs.py catalog/test_pricing_properties.py",
    "proration": "payments/subscriptions/proration.py payments/subscriptions/reversals.py"
    " payments/subscriptions/scheduled_grants.py payments/subscriptions/prices.py"
    " payments/subscriptions/months.py payments/subscriptions/plan_lines.py"
    " payments/subscriptions/upgrades.py payments/test_months.py payments/test_plan_changes.py"
    " payments/test_proration.py payments/test_scheduled_grants.py payments/test_prices.py"
    " payments/test_plan_reversals.py payments/test_plan_checkout.py payments/test_plan_kinds.py"
    " payments/test_upgrade_reversals.py payments/test_invoice_lines.py"
    " payments/test_upgrade_quotes.py payments/test_discounted_upgrades.py"
    " payments/test_invoice_review.py payments/test_two_plans.py",
    "posting": "payments/*/posting.py payments/purchases/checkout.py payments/purchases/packs.py"
    " payments/refunds/refund.py"
    " payments/*/receipts.py payments/test_checkout_ends.py payments/test_refunds.py"
    " payments/test_purchase_reversals.py web/test_receipts.py payments/test_checkout.py"
    " payments/test_plans.py payments/test_sweeps.py payments/test_plan_notifications.py"
    " payments/test_auto_topup.py",
    "guests": "guests/claims.py test_guests.py",
}
SWAPS: dict = {ast.Lt: ast.LtE, ast.Gt: ast.GtE, ast.Eq: ast.NotEq, ast.Is: ast.IsNot}
SWAPS |= {ast.In: ast.NotIn, ast.Add: ast.Sub, ast.Mult: ast.FloorDiv, ast.And: ast.Or}
SWAPS |= {new: old for old, new in SWAPS.items()}
SKIPPED = (ast.Raise, ast.Assert, ast.JoinedStr)


def changes(node: ast.AST) -> Iterator[tuple[ast.AST, str, object]]:
    """Yield each change of a node: itself, a field of it, and the field's new value."""
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                yield node, "ops", [*ops[:at], SWAPS[type(op)](), *ops[at + 1 :]]
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            yield node, "op", SWAPS[type(op)]()
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            yield node, "value", value + 1
        case ast.UnaryOp(op=ast.Not() | ast.USub() as op, operand=operand):
            yield node, "operand", ast.UnaryOp(op, operand)
        case ast.Call(func=ast.Name(id="min" | "max" as name)):
            yield node, "func", ast.Name("max" if name == "min" else "min")
        case ast.Expr(ast.Call()) | ast.Return(ast.expr()) if ast.unparse(node) != "return None":
            yield node, "value", ast.Constant(None)
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.UnaryOp):
            yield node, "test", ast.UnaryOp(ast.Not(), test)


def sites(node: ast.AST, names: str = "", inside: bool = False) -> Iterator[tuple]:
    """Yield every change in a node's functions; messages and logs are left as they are."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            name, is_function = f"{names}.{child.name}", isinstance(child, ast.FunctionDef)
            yield from sites(ast.Module(child.body), name, is_function)
        elif inside and not isinstance(child, SKIPPED) and ast.unparse(child)[:4] != "log.":
            yield from ((names[1:], *change) for change in changes(child))
            yield from sites(child, names, True)


def mutants(area: str) -> Iterator[tuple[str, Path, str, str]]:
    """Yield an area's share of the mutants: area, file, what is changed, and the file's text."""
    paths = [path for each in AREAS[area].split() for path in ROOT.glob(f"creditapp/{each}")]
    trees = [(path.relative_to(ROOT), ast.parse(path.read_text())) for path in sorted(paths)]
    every = [(path, tree, *site) for path, tree in trees for site in sites(tree)]
    chance = random.Random(f"{SEED}:{area}")  # noqa: S311
    for path, tree, name, node, field, value in chance.sample(every, COUNT // len(AREAS)):
        old, before = getattr(node, field), ast.unparse(node).split("\n")[0]
        setattr(node, field, value)
        after, text = ast.unparse(node).split("\n")[0], ast.unparse(tree)
        setattr(node, field, old)
        yield area, path, f"{path}:{node.lineno} {name}: {before} -> {after}", text


def run_pytest(copy: str, area: str) -> None:
    """Run an area's tests in a copy of the tree, silently."""
    import pytest

    os.chdir(copy)
    sys.path[:] = [copy, *(each for each in sys.path if each not in ("", str(ROOT)))]
    sys.stdout = sys.stderr = io.StringIO()
    sys.dont_write_bytecode = False  # most modules are the same in the next run
    tests = [f"tests/{name}" for name in AREAS[area].split() if "test_" in name]
    sys.exit(pytest.main(["-x", "-n0", "--hypothesis-seed=0", "-k", "not postgresql", *tests]))


def main() -> None:
    """Test the mutants, two at a time; print each area's figures and every survivor."""
    end = time.monotonic() + MINUTES * 60
    plan = [each for turn in zip(*map(mutants, AREAS), strict=True) for each in turn]
    unmutated, limits, ended = list(AREAS), {}, []
    forkserver = multiprocessing.get_context("forkserver")  # what it imported need not be again
    forkserver.set_forkserver_preload(["pytest", "playwright.sync_api", "dbos", "openai", "stripe"])
    os.environ |= {"CREDITAPP_SOAK": "", "CREDITAPP_TEST_ALL": ""}
    os.environ["TEST_POSTGRESQL_URL"] = "postgresql+psycopg://nobody@127.0.0.1:9/nothing"

    def fails(copy: Path, area: str) -> bool:
        process = forkserver.Process(target=run_pytest, args=(str(copy), area))
        process.start()
        process.join(limits.get(area, 600))
        process.kill()  # out of time is a failure: the change made a loop endless
        return process.join() or process.exitcode != 0

    def work(copy: Path) -> None:
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        while unmutated:
            area, start = unmutated.pop(0), time.monotonic()
            if fails(copy, area):
                plan.clear()
                sys.exit(f"The unmutated tests of {area} fail.")
            limits[area] = (time.monotonic() - start) * 3 + 30
            print(f"{area}: {time.monotonic() - start:.0f} s unmutated", flush=True)
        while plan and time.monotonic() < end:
            area, path, change, text = plan.pop(0)
            source = (copy / path).read_text()
            (copy / path).write_text(text)
            os.utime(copy / path, (len(plan),) * 2)  # its own, or an older one's bytecode is taken
            ended.append((area, fails(copy, area), change))
            (copy / path).write_text(source)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, [Path(folder, str(number)) for number in range(WORKERS)]))
    for area in [*AREAS, "all"]:
        killed = [fate for of, fate, _ in ended if area in (of, "all")]
        left, count = sum(area in (each[0], "all") for each in plan), len(killed) or 1
        print(f"{area}: {len(killed)} mutants, {sum(killed)} killed, {killed.count(False)}", end="")
        print(f" survived, {sum(killed) / count:.0%}; {left} not run")
    print("survived:", *sorted(change for _, fate, change in ended if not fate), sep="\n  ")
    print("not run:", *(change for _, _, change, _ in plan), sep="\n  ")


if __name__ == "__main__":
    main()
