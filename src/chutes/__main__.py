"""`python -m chutes`: the command line."""

from chutes.cli import main

if __name__ == "__main__":
    main()
