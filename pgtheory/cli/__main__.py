"""``python -m pgtheory.cli`` is the ``pgtheory`` command."""

from pgtheory.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
