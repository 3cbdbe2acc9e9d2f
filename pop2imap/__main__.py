"""``python -m pop2imap`` is ``pop2imap``."""

from pop2imap.cli.main import main

if __name__ == "__main__":
    main()
