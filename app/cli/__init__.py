"""The commands of `vigil`, one module each: parse, call, print."""
