"""A real Thunderbird for tests: driven over its Marionette port, asked what it shows, and a profile that it made."""
