"""`python -m bitfront` is the command line."""

from bitfront.cli import main

if __name__ == "__main__":
    main()
