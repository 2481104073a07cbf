"""The demo: the embedded broker, a worker, the simulator and the web console on one machine, with a live view."""
