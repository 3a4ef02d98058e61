"""Private dialects, one file per exchange: its endpoints, signatures, shapes and codes over the one core."""
