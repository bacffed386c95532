"""What is looked at before anything is touched: whether database, key, directory and containers belong together."""
