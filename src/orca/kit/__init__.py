"""Domain-free building blocks: clock, ids, pagination, crypto, retry, SSE, text."""
