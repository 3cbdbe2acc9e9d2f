"""pop2imap: move mail from POP3 maildrops and mbox files to IMAP folders, once and for good."""

__version__ = "0.1.0"
