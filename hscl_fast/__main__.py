"""``python -m hscl_fast`` is the same program as ``hscl``."""

from hscl_fast.cli.main import main

if __name__ == "__main__":
    main()
