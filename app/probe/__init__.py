"""What a live room's stream shows and sounds like: the source of `frame-status`."""
