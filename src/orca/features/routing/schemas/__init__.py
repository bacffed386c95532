"""The API's models of routing, a file per noun."""
