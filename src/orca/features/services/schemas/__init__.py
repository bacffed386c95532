"""The API's models of services, a file per noun."""
