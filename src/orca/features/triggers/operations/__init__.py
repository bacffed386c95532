"""Work of push hooks that opens its own transactions and calls other machines."""
