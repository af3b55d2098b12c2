"""`python -m tools.rules` names every place that breaks a rule and exits 1 when there is one."""

import sys

from tools.rules.rules import RULES, tracked_files


def main() -> None:
    """Check the whole repository."""
    files = tracked_files()
    problems = [problem for rule in RULES for problem in rule(files)]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
