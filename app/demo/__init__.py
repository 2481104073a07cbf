"""The demo: the embedded broker, a worker and the simulator on one machine, and what comes out, as it comes."""
