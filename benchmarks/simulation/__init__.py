"""A yard in virtual time: devices, builds and jobs, and the rules that are compared on them."""
