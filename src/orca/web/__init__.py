"""Server-rendered pages, guards, errors, forms."""
