"""Private dialects, one file an exchange: its endpoints, signatures, shapes and codes over the one core."""
