"""`python -m sparsedet`: the only core file that may import the command line."""

from sparsedet.cli.app import main

if __name__ == "__main__":
    main()
